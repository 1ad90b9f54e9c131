"""New images are dispatched within a listing of their arrival, once each, however often the watch is begun again."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from itertools import chain, repeat
from pathlib import Path

import pytest

from cardbeam.config.settings import (
    EndpointSettings,
    InputSettings,
    OutputSettings,
    RateSettings,
    Settings,
    WatchSettings,
)
from cardbeam.index.refresh import IndexFollower
from cardbeam.inputs.listing import list_requests
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.model.record import JournalRecord, RecordStatus
from cardbeam.model.request import Request
from cardbeam.run_state.stop_signal import STORAGE_REFUSED, read_stop
from cardbeam.storage.errors import StoreRefused
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.publisher import Publisher
from cardbeam.watch.pending import Group
from cardbeam.watch.watcher import Watcher, is_young, max_pending
from tests.records import failed_record

RUN = "run-1"
OLD_S = 1_000_000


class Watch:
    """A watch over a folder, on a clock of its own; sleeping makes the time pass."""

    def __init__(self, path: Path, **settings: object) -> None:
        self.inputs, self.folder, self.now_s = path / "in", LocalFolder(str(path / "out")), 0.0
        self.inputs.mkdir(exist_ok=True)
        self.should_stop = False
        self.meanwhile: Callable[[], None] = lambda: None
        rate = RateSettings(max_requests_per_second=float(str(settings.pop("rate", 0))))
        inputs = InputSettings((f"{self.inputs}/*",), **settings)
        self.settings = Settings(inputs, EndpointSettings(), rate, OutputSettings(self.folder.root, RUN))
        self.number = 0
        self.begin(0)

    def begin(self, number: int) -> None:
        """As the first step of a process does."""
        self.number = number
        self.watcher = Watcher(
            self.folder,
            self.settings,
            WatchSettings(poll_interval_s=10),
            lambda: self.should_stop,
            IndexFollower(self.folder, RUN),
            clock=lambda: self.now_s,
            now_s=lambda: OLD_S + self.now_s,
            sleep=self.sleep,
        )
        self.watcher.begin(number)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.meanwhile()

    def put(self, name: str, content: bytes, changed_at_s: float = OLD_S - 60) -> None:
        path = self.inputs / name
        path.write_bytes(content)
        os.utime(path, (changed_at_s, changed_at_s))

    def step(self) -> list[str] | None:
        """The names that one step dispatches."""
        groups = self.watcher.step(self.number)
        self.number += 1
        return None if groups is None else names(groups)

    def steps(self, seconds: float) -> list[str]:
        """The names dispatched over some time."""
        until_s, given = self.now_s + seconds, []
        while self.now_s < until_s:
            given += self.step() or []
            self.sleep(0.5)
        return sorted(given)

    def complete(self, name: str, **others: object) -> None:
        """As a worker does."""
        (request,) = [one for one in self.watcher._pending if one.request.uris[0].endswith(name)]
        write(self.folder, request.request, **others)


def names(groups: list[Group]) -> list[str]:
    return [Path(one.uris[0]).name for _, requests in groups for one in requests]


def write(folder: LocalFolder, request: Request, **others: object) -> None:
    record: JournalRecord = failed_record(1, **{"uris": request.uris, "outcome": RecordStatus.FAILED.value, **others})
    journal = LocalJournal(folder, RUN)
    journal.append(
        JournalRecord(
            **{**{n: getattr(record, n) for n in JournalRecord.__struct_fields__}, "source_id": request.source_id}
        )
    )
    journal.close()


@pytest.fixture
def watch_of(tmp_path: Path) -> Callable[..., Watch]:
    return lambda **settings: Watch(tmp_path, **settings)


def test_what_appears_is_given_out_once(watch_of: Callable[..., Watch]) -> None:
    watch = watch_of()
    watch.put("a", b"1")
    assert watch.steps(11) == ["a"]
    watch.put("b", b"22")
    assert watch.steps(11) == ["b"]
    watch.complete("a")
    assert watch.steps(30) == []


def test_an_updated_image_is_given_out_after_its_earlier_version_is_settled(watch_of: Callable[..., Watch]) -> None:
    watch = watch_of()
    watch.put("a", b"1")
    assert watch.steps(11) == ["a"]
    watch.put("a", b"22", OLD_S - 30)
    assert watch.steps(21) == []
    watch.complete("a")
    assert watch.steps(11) == ["a"]


def test_an_updated_image_that_is_under_way_stays_so_when_its_earlier_version_is_published(
    watch_of: Callable[..., Watch],
) -> None:
    watch = watch_of()
    watch.put("a", b"1")
    assert watch.steps(11) == ["a"]
    watch.complete("a")
    watch.steps(1)
    watch.put("a", b"22", OLD_S - 30)
    assert watch.steps(11) == ["a"]
    Publisher(watch.folder, watch.settings, datetime.now(timezone.utc)).publish_new()
    assert watch.steps(30) == []


def test_an_image_whose_newer_version_is_settled_is_under_way_no_longer(watch_of: Callable[..., Watch]) -> None:
    """Its record was missed in the journal, and in the ledger it may be an old one."""
    watch = watch_of()
    watch.put("a", b"1")
    assert watch.steps(11) == ["a"]
    watch.put("a", b"22", OLD_S - 30)
    (read,) = list_requests(f"{watch.inputs}/*", watch.settings.input)
    write(watch.folder, read)
    Publisher(watch.folder, watch.settings, datetime.now(timezone.utc)).publish_new()
    watch.folder.delete([file.path for file in watch.folder.list("journal")])
    watch.steps(11)
    assert list(watch.watcher._pending) == []


def test_a_file_that_changed_just_now_waits(watch_of: Callable[..., Watch]) -> None:
    watch = watch_of()
    watch.put("a", b"1", OLD_S - 1)
    assert watch.step() == []
    assert watch.steps(11) == ["a"]
    assert not is_young(OLD_S, "s3://bucket/a", "etag")
    assert not is_young(OLD_S, "/from/the/future", str((OLD_S + 60) * 10**9))


def test_a_lone_side_waits_for_the_other(watch_of: Callable[..., Watch]) -> None:
    watch = watch_of(operation="ekyc/cards")
    watch.put("1_front.jpg", b"1")
    watch.put("2_front.jpg", b"22")
    assert watch.steps(60) == []
    watch.put("2_back.jpg", b"333")
    assert watch.steps(11) == ["2_front.jpg"]
    assert watch.steps(300) == ["1_front.jpg"]


def test_a_lone_side_that_was_gone_waits_anew(watch_of: Callable[..., Watch]) -> None:
    watch = watch_of(operation="ekyc/cards")
    watch.put("1_front.jpg", b"1")
    assert watch.steps(60) == []
    (watch.inputs / "1_front.jpg").unlink()
    assert watch.steps(300) == []
    watch.put("1_front.jpg", b"1")
    assert watch.steps(60) == []
    assert watch.steps(300) == ["1_front.jpg"]


def test_no_more_is_given_out_than_the_rate_takes(watch_of: Callable[..., Watch]) -> None:
    watch = watch_of(rate=1)
    for number in range(100):
        watch.put(f"{number:03}", b"x" * (number + 1))
    given = watch.steps(5)
    assert len(given) == max_pending(1)
    watch.complete(given[0])
    assert len(watch.steps(5)) == 1


def test_a_listing_goes_on_where_it_stayed_for_want_of_room(
    watch_of: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cardbeam.watch.watcher._MAX_QUEUED", 5)
    monkeypatch.setattr("cardbeam.watch.watcher._LISTING_BATCH", 2)
    begun: list[str] = []

    def find_and_count(source: str, inputs: InputSettings) -> Iterator[Request]:
        begun.append(source)
        return list_requests(source, inputs)

    monkeypatch.setattr("cardbeam.watch.input_listing.list_requests", find_and_count)
    watch = watch_of()
    expected = [f"{number:02}" for number in range(20)]
    for number, name in enumerate(expected):
        watch.put(name, b"x" * (number + 1))
    assert (watch.steps(9), len(begun)) == (expected, 1)


def test_a_file_that_is_written_to_while_it_waits_for_room_waits_longer(watch_of: Callable[..., Watch]) -> None:
    watch = watch_of(rate=1)
    for number in range(max_pending(1)):
        watch.put(f"a{number:02}", b"x" * (number + 1))
    given = watch.steps(5)
    watch.put("b", b"y" * 100)
    assert watch.steps(11) == []
    watch.meanwhile = lambda: watch.put("b", b"y" * 101, OLD_S + watch.now_s)
    watch.steps(11)
    watch.complete(given[0])
    assert watch.steps(20) == []
    watch.meanwhile = lambda: None
    assert watch.steps(20) == ["b"]


def test_after_a_crash_what_was_not_settled_is_given_out_again(watch_of: Callable[..., Watch]) -> None:
    """Even what is not in the folder any more; and nothing twice."""
    watch = watch_of()
    watch.put("a", b"1")
    watch.put("b", b"22")
    assert watch.steps(5) == ["a", "b"]
    watch.complete("a")
    (watch.inputs / "b").unlink()
    watch.begin(0)
    assert watch.steps(20) == ["b"]


def test_a_runner_that_goes_back_holds_what_was_given_out_before(watch_of: Callable[..., Watch]) -> None:
    watch = watch_of()
    watch.put("a", b"1")
    assert watch.step() == ["a"]
    watch.put("b", b"22")
    assert watch.steps(15) == ["b"]
    watch.begin(1)
    assert watch.steps(20) == ["b"]


def test_what_failed_for_now_is_left_to_the_next_run(watch_of: Callable[..., Watch]) -> None:
    watch = watch_of()
    watch.put("a", b"1")
    assert watch.step() == ["a"]
    watch.complete("a", retriable=True)
    assert watch.steps(30) == []
    watch.begin(0)
    assert watch.steps(30) == []


def test_it_ends_when_told_to(watch_of: Callable[..., Watch]) -> None:
    watch = watch_of()
    watch.put("a", b"1")
    watch.should_stop = True
    assert watch.step() is None


def test_a_listing_that_fails_is_tried_again_and_refused_ones_stop_the_run(
    watch_of: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch = watch_of()
    errors = chain([OSError("away")], repeat(StoreRefused("refused")))

    def fails(*_: object, **__: object) -> None:
        raise next(errors)

    monkeypatch.setattr("cardbeam.watch.input_listing.list_requests", fails)
    assert watch.steps(25) == []
    assert read_stop(watch.folder, f"runs/{RUN}/stop.json") is None
    watch.steps(12)
    assert read_stop(watch.folder, f"runs/{RUN}/stop.json") == STORAGE_REFUSED
    assert [record.message for record in caplog.records] == ["input cannot be listed, and is tried again: away"]


def test_one_input_that_vanishes_and_returns_is_two_lines_and_stops_no_other(
    watch_of: Callable[..., Watch], caplog: pytest.LogCaptureFixture
) -> None:
    """What is under another input is processed meanwhile, and no side is taken for gone."""
    caplog.set_level(logging.INFO, "cardbeam")
    watch = watch_of(operation="ekyc/cards")
    other = watch.inputs.parent / "other"
    other.mkdir()
    sources = (f"{watch.inputs}/*", str(other))
    watch.settings = replace(watch.settings, input=replace(watch.settings.input, input=sources))
    watch.begin(0)
    watch.put("1_front.jpg", b"1")
    assert watch.steps(60) == []
    watch.inputs.rename(watch.inputs.parent / "away")
    for name in ("2_front.jpg", "2_back.jpg"):
        (other / name).write_bytes(name.encode())
        os.utime(other / name, (OLD_S, OLD_S))
    assert watch.steps(120) == ["2_front.jpg"]
    (watch.inputs.parent / "away").rename(watch.inputs)
    assert watch.steps(140) == ["1_front.jpg"]
    folder = watch.inputs
    assert [record.message for record in caplog.records] == [
        f"input cannot be listed, and is tried again: --input {folder}/*: {folder} does not exist",
        f"input can be listed again, after 0:02:02: --input {folder}/*",
    ]


def test_a_side_waits_from_when_it_was_first_listed_through_every_restart(watch_of: Callable[..., Watch]) -> None:
    """A watch that is killed every minute still processes an unpaired side in time."""
    watch = watch_of(operation="ekyc/cards")
    watch.put("1_front.jpg", b"1")
    given: list[list[str]] = []
    for _ in range(6):
        given.append(watch.steps(58))
        watch.settings = replace(watch.settings, output=replace(watch.settings.output, run_id=f"run-{len(given)}"))
        watch.begin(0)
    assert given == [[], [], [], [], [], ["1_front.jpg"]]
