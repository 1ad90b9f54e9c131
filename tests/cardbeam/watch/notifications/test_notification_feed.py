"""What a topic tells is dispatched at once, once each; an offset is committed when all up to it is processed."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.config.settings import (
    EndpointSettings,
    InputSettings,
    OutputSettings,
    RateSettings,
    Settings,
    WatchSettings,
)
from cardbeam.index.refresh import IndexFollower
from cardbeam.model.request import ImageRef, Request
from cardbeam.storage.folder import LocalFolder
from cardbeam.storage.open_uri import SourceError
from cardbeam.watch.notifications.event_formats import Inputs, ObjectCreated
from cardbeam.watch.notifications.kafka_consumer import ReceivedMessage, TopicError
from cardbeam.watch.notifications.notification_feed import NotificationFeed, check_feed
from cardbeam.watch.watcher import Watcher
from tests.cardbeam.watch.test_watcher import OLD_S, RUN, names, write

FAR_S = 3600.0


class Memory:
    """A topic of two partitions in memory; waiting makes the time pass."""

    def __init__(self) -> None:
        self.messages: deque[ReceivedMessage] = deque()
        self.committed: dict[int, int] = {}
        self.is_unavailable = False
        self.now_s = 0.0
        self._ends = [0, 0]

    def tell(self, content: bytes, partition: int = 0) -> None:
        self.messages.append(ReceivedMessage(partition, self._ends[partition], content, {}))
        self._ends[partition] += 1

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def read(self, most: int) -> Iterator[ReceivedMessage]:
        for _ in range(min(most, len(self.messages))):
            yield self.messages.popleft()

    def commit(self, offsets: dict[int, int]) -> None:
        self.committed |= offsets

    def close(self) -> None:
        """Nothing to leave."""


class OnDisk(Inputs):
    """Objects of the bucket `cards` as files of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(())
        self._folder = folder

    def uris(self, named: ObjectCreated) -> Iterator[str]:
        yield from (str(self._folder / key) for key in named.keys)


def reported(key: str) -> bytes:
    event = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "cards"}, "object": {"key": key}}}
    return json.dumps({"Records": [event]}).encode()


class Watch:
    """A watch over a folder that is told of, and listed at its begin and after an hour."""

    def __init__(self, path: Path, topic: Memory, operation: str = "ekyc/card") -> None:
        self.inputs, self.folder, self.topic = path / "in", LocalFolder(str(path / "out")), topic
        self.inputs.mkdir(exist_ok=True)
        inputs = InputSettings((f"{self.inputs}/*",), operation)
        output = OutputSettings(self.folder.root, RUN)
        self.feed = NotificationFeed(topic, OnDisk(self.inputs), clock=lambda: topic.now_s)
        self.watcher = Watcher(
            self.folder,
            Settings(inputs, EndpointSettings(), RateSettings(max_requests_per_second=0), output),
            WatchSettings(poll_interval_s=10, full_scan_interval_s=FAR_S),
            lambda: False,
            IndexFollower(self.folder, RUN),
            feed=self.feed,
            clock=lambda: topic.now_s,
            now_s=lambda: OLD_S * 2000 + topic.now_s,
        )
        self.watcher.begin(0)

    def put(self, key: str, content: bytes) -> None:
        (self.inputs / key).write_bytes(content)

    def steps(self, seconds: float) -> list[str]:
        """The names dispatched over some time."""
        until_s, given = self.topic.now_s + seconds, []
        while self.topic.now_s < until_s:
            given += names(self.watcher.step(0) or [])
            self.topic.wait(0.1)
        return given

    def complete(self, name: str, **others: object) -> None:
        (given,) = [one.request for one in self.watcher._pending if one.request.uris[0].endswith(name)]
        write(self.folder, given, **others)


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path, Memory())


def test_what_is_told_is_given_out_at_once_and_once(watch: Watch) -> None:
    watch.put("a", b"1")
    assert watch.steps(5) == ["a"], "the first listing finds what was there before"
    watch.put("b", b"22")
    watch.topic.tell(reported("b"))
    watch.topic.tell(reported("b"), partition=1)
    watch.topic.tell(reported("a"))
    watch.topic.tell(reported("never-put"))
    assert watch.steps(0.1) == ["b"]
    watch.complete("a")
    watch.complete("b")
    watch.topic.tell(reported("b"))
    assert watch.steps(60) == []


def test_an_offset_is_committed_when_all_up_to_it_is_settled(watch: Watch) -> None:
    assert watch.steps(5) == []
    watch.put("a", b"1")
    watch.put("b", b"22")
    for message in (reported("gone"), reported("a"), reported("b"), reported("gone")):
        watch.topic.tell(message)
    watch.topic.tell(b"no notification", partition=1)
    assert watch.steps(20) == ["a", "b"]
    assert watch.topic.committed == {0: 1, 1: 1}
    watch.complete("b")
    watch.steps(20)
    assert watch.topic.committed == {0: 1, 1: 1}, "a is still open"
    watch.complete("a")
    watch.steps(20)
    assert watch.topic.committed == {0: 4, 1: 1}


def test_a_new_version_waits_for_the_earlier_and_holds_its_offset(watch: Watch) -> None:
    watch.steps(5)
    watch.put("a", b"1")
    watch.topic.tell(reported("a"))
    assert watch.steps(5) == ["a"]
    watch.put("a", b"22")
    watch.topic.tell(reported("a"))
    assert watch.steps(20) == []
    watch.complete("a")
    assert watch.steps(20) == ["a"]
    assert watch.topic.committed == {}, "the second version is open, and both messages name it"
    watch.complete("a")
    watch.steps(20)
    assert watch.topic.committed == {0: 2}


def test_what_failed_for_now_is_left_to_the_next_run(watch: Watch) -> None:
    watch.steps(5)
    watch.put("a", b"1")
    watch.topic.tell(reported("a"))
    assert watch.steps(5) == ["a"]
    watch.complete("a", retriable=True)
    watch.topic.tell(reported("a"))
    assert watch.steps(30) == []
    assert watch.topic.committed == {0: 2}


def test_what_no_message_named_is_listed_at_last(watch: Watch) -> None:
    assert watch.steps(5) == []
    watch.put("lost", b"1")
    assert watch.steps(FAR_S - 60) == []
    assert watch.steps(120) == ["lost"]


def test_while_the_brokers_are_away_the_inputs_are_listed_as_without_them(watch: Watch) -> None:
    watch.steps(5)
    watch.topic.is_unavailable = True
    watch.put("a", b"1")
    assert watch.steps(15) == ["a"]
    watch.put("b", b"22")
    assert watch.steps(15) == ["b"]
    watch.put("told", b"4444")
    watch.topic.tell(reported("told"))
    assert watch.steps(0.1) == ["told"], "they may be back before it is noticed"
    watch.topic.is_unavailable = False
    watch.steps(15)
    watch.put("c", b"333")
    assert watch.steps(60) == []


def test_what_is_told_does_not_wait_for_the_end_of_a_listing(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def takes_long(source: str, inputs: InputSettings) -> Iterator[Request]:
        for _ in range(100_000):
            watch.topic.now_s += 0.01
            yield Request("ekyc/card", (ImageRef("given-out"),))

    watch.put("given-out", b"1")
    assert watch.steps(5) == ["given-out"]
    monkeypatch.setattr("cardbeam.watch.input_listing.list_requests", takes_long)
    watch.steps(FAR_S)
    watch.put("a", b"22")
    watch.topic.tell(reported("a"))
    assert watch.steps(30) == ["a"]


def test_of_two_sides_a_message_brings_the_listing_forward(tmp_path: Path) -> None:
    watch = Watch(tmp_path, Memory(), "ekyc/cards")
    watch.steps(5)
    watch.put("1_front.jpg", b"1")
    watch.topic.tell(reported("1_front.jpg"))
    assert watch.steps(30) == []
    watch.put("1_back.jpg", b"22")
    watch.topic.tell(reported("1_back.jpg"))
    assert watch.steps(11) == ["1_front.jpg"]


def test_what_is_not_understood_is_said_by_its_place_and_skipped(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watch.put("a", b"1")
    for message in (b"\xff079123456789", b'{"id": "079123456789"}', reported("a")):
        watch.topic.tell(message)
    with caplog.at_level(logging.WARNING, "cardbeam"):
        assert watch.steps(1) == ["a"]
    (text,) = [record.getMessage() for record in caplog.records]
    assert text.startswith("2 notifications were not understood, the first in partition 0 at offset 0: it is no JSON")
    assert "079123456789" not in text


def test_what_cannot_be_looked_at_is_listed(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(requests: object) -> None:
        raise SourceError("away")

    watch.steps(5)
    watch.put("a", b"1")
    watch.topic.tell(reported("a"))
    monkeypatch.setattr("cardbeam.watch.watcher.stat_many", fails)
    assert watch.steps(11) == ["a"]


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from("abcd"), st.booleans()), max_size=40))
def test_committed_is_always_what_nothing_open_was_named_by(told_of: list[tuple[int, str, bool]]) -> None:
    topic = Memory()
    feed = NotificationFeed(topic, OnDisk(Path("/in")), clock=lambda: topic.now_s)
    open_now: set[str] = set()
    named: dict[int, list[str]] = {0: [], 1: []}
    for partition, key, is_processed in told_of:
        topic.tell(reported(key), partition)
        named[partition].append(f"/in/{key}")
        feed.poll(10)
        open_now.add(f"/in/{key}")
        if is_processed:
            open_now.discard(min(open_now))
        topic.wait(10)
        before = dict(topic.committed)
        feed.commit_processed(lambda: open_now)
        for one, uris in named.items():
            behind = topic.committed.get(one, 0)
            assert open_now.isdisjoint(uris[before.get(one, 0) : behind])
            assert behind == len(uris) or uris[behind] in open_now
    open_now.clear()
    topic.wait(10)
    feed.commit_processed(lambda: open_now)
    assert all(topic.committed.get(one, 0) == len(uris) for one, uris in named.items())


def test_a_topic_without_an_input_in_a_bucket_is_refused(tmp_path: Path) -> None:
    settings = Settings(InputSettings(("/cards",)), EndpointSettings(), RateSettings(), OutputSettings(str(tmp_path)))
    watch = WatchSettings(notifications="kafka://broker:9092/news")
    with pytest.raises(TopicError, match="no --input is in a bucket"):
        check_feed(settings, watch, reads_topic_here=False)
    check_feed(settings, WatchSettings(), reads_topic_here=True)
    assert list(WatchSettings(notifications="kafka://user:secret@broker:9092/news").validate()) == [
        "--notifications is no topic: expected kafka://HOST:PORT[,HOST:PORT]/TOPIC, without user and password"
    ]
