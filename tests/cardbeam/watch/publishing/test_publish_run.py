"""A run is published while its calls go on, and gets its receipt once they have ended, whoever publishes it then."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.model.request import ImageRef, Request
from cardbeam.run_state.drained import mark_drained, mark_listing_ended
from cardbeam.run_state.layout import JOURNAL, of_run, run_file
from cardbeam.run_state.liveness.run_lock import TakenOver
from cardbeam.run_state.receipt import INTERRUPTED, WATCHING, read_receipt, write_receipt
from cardbeam.run_state.stop_signal import STOP_FILE
from cardbeam.storage.folder import LocalFolder
from cardbeam.watch.pending import PENDING_FILE, PendingRequest, encode
from cardbeam.watch.publishing.publish_run import RunPublisher
from tests.records import answered, write_segment

RUN, SESSION = "run-1", "session"
BEGAN = datetime(2026, 11, 22, 1, tzinfo=timezone.utc)


@dataclass
class Right:
    """A right to publish; what was done with it, in order."""

    calls: list[str] = field(default_factory=list)
    is_superseded: bool = False

    def begin(self) -> None:
        self.calls.append("begin")

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def confirm(self) -> None:
        if self.is_superseded:
            raise TakenOver("another launch took over")

    def end(self) -> None:
        self.calls.append("end")


class Published:
    """A run's publisher on a clock that only its waits move."""

    def __init__(self, path: Path) -> None:
        self.folder, self.now_s, self.right = LocalFolder(str(path)), 0.0, Right()
        self.answers_at_s: dict[float, int] = {}
        output = OutputSettings(self.folder.root, RUN)
        self.settings = Settings(InputSettings(("in",)), EndpointSettings(), RateSettings(), output)
        self.publisher = self.another()

    def another(self) -> RunPublisher:
        return RunPublisher(
            self.folder,
            self.settings,
            SESSION,
            BEGAN,
            2.0,
            right=self.right,
            clock=lambda: self.now_s,
            now_s=lambda: BEGAN.timestamp() + self.now_s,
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if self.now_s in self.answers_at_s:
            self.answer(self.answers_at_s[self.now_s])

    def answer(self, *numbers: int) -> None:
        records = [answered(number) for number in numbers]
        write_segment(self.folder, f"{of_run(JOURNAL, RUN)}/a-{numbers[0]:06d}.journal", records)

    def shown(self) -> tuple[str, int]:
        """The receipt's status, and how many succeeded by it."""
        receipt = read_receipt(self.folder, RUN)
        return ("", 0) if receipt is None else (receipt.status, receipt.requests["succeeded"])


def _drain(folder: LocalFolder, session: str) -> None:
    mark_listing_ended(folder, RUN, session)
    mark_drained(folder, RUN, session)


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


def test_rows_come_in_steps_and_the_receipt_at_the_end(published: Published) -> None:
    """Each step lasts some seconds; what comes between two is in the next. Whoever is asked again ends at once."""
    published.answer(1, 2)
    first, shown = published.publisher.step(), published.shown()
    published.answer(3)
    second, later, took_s = published.publisher.step(), published.shown(), published.now_s
    _drain(published.folder, "an earlier launch")
    third = published.publisher.step()
    _drain(published.folder, SESSION)
    published.answer(4)
    receipt = published.publisher.step()
    assert (first, shown, second, later, third) == (None, (WATCHING, 2), None, (WATCHING, 3), None)
    assert receipt is not None
    assert (receipt.status, receipt.requests["succeeded"], receipt.reconciled, took_s) == ("complete", 4, True, 8.0)
    assert list(published.folder.list(JOURNAL)) == []
    again = published.another().step()
    assert again is not None
    assert (again.requests, again.files, published.right.calls) == (receipt.requests, receipt.files, ["begin", "end"])


def test_a_publication_tells_how_long_its_first_answer_waited(published: Published) -> None:
    """From the look that found it until it is in the tables: while an image is in flight, for the interval."""
    in_flight = PendingRequest(1, Request("ekyc/card", (ImageRef("a.jpg", 1, "1"),)))
    published.folder.write(run_file(RUN, PENDING_FILE), encode([in_flight]))
    published.answers_at_s = {1.0: 1, 2.0: 2}
    published.publisher.step()
    assert (published.publisher.take_lags_s(), published.publisher.take_lags_s()) == ([1.0], [])


def test_another_publisher_goes_on_from_what_the_folder_says(published: Published) -> None:
    """A runner started it elsewhere: the one before left at any moment."""
    published.answer(1, 2)
    published.publisher.step()
    published.answer(3)
    other = published.another()
    other.step()
    shown = published.shown()
    _drain(published.folder, SESSION)
    receipt = published.another().step()
    assert receipt is not None
    assert (shown, receipt.requests["succeeded"], receipt.documents) == ((WATCHING, 3), 3, {"passport": 3})


def test_a_store_that_fails_is_tried_again(
    published: Published, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The step goes on, and so does the job; one line in the log tells why."""
    published.answer(1)
    is_full = True
    write = LocalFolder.write

    def full(folder: LocalFolder, path: str, content: bytes) -> None:
        if is_full:
            raise OSError(28, "No space left on device", path)
        write(folder, path, content)

    monkeypatch.setattr(LocalFolder, "write", full)
    with caplog.at_level(logging.WARNING, "cardbeam"):
        published.publisher.step()
    before = published.shown()
    is_full = False
    published.publisher.step()
    messages = {record.getMessage() for record in caplog.records}
    assert (before, published.shown()) == (("", 0), (WATCHING, 1))
    assert len(messages) == 1
    assert "retrying publish after error: [Errno 28] No space left on device" in messages.pop()


def test_a_run_that_another_launch_has_is_left_alone(published: Published) -> None:
    """It neither publishes nor ends it."""
    published.answer(1)
    published.publisher.step()
    published.right.is_superseded = True
    published.answer(2)
    with pytest.raises(TakenOver):
        published.publisher.step()
    assert published.shown() == (WATCHING, 1)
    _drain(published.folder, SESSION)
    with pytest.raises(TakenOver):
        published.another().step()
    assert published.shown() == (WATCHING, 1)
    assert not (Path(published.folder.root) / run_file(RUN, STOP_FILE)).exists()


def test_a_run_that_another_launch_closed_is_taken_over(published: Published) -> None:
    """Its job was taken for lost, and comes back: those that list and call must end too."""
    published.answer(1)
    published.publisher.step()
    receipt = read_receipt(published.folder, RUN)
    assert receipt is not None
    write_receipt(published.folder, replace(receipt, status=INTERRUPTED))
    with pytest.raises(TakenOver, match=f"another launch closed run {RUN}"):
        published.another().step()
    assert published.shown() == (INTERRUPTED, 1)
