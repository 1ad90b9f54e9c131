"""Messages of a topic -> URIs to look at, and how far the topic is behind us.

An offset is committed when no picture that a message up to it named is still open: given out or waiting to be. So what
was told before a crash, and is not in the journal, is told again; what is told again and is in the journal is
known there, and costs one look.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Set
from itertools import takewhile
from typing import Protocol

from cardbeam.config.settings import Settings, WatchSettings
from cardbeam.watch.event_formats import Fault, Inputs, read_message
from cardbeam.watch.kafka_consumer import Heard, KafkaTopic, TopicError, group_of, read_client_config

_LOG = logging.getLogger("cardbeam")
_COMMIT_EVERY_S = 5.0


class Topic(Protocol):
    """Where messages come from, as `KafkaTopic` does it."""

    is_away: bool

    def wait(self, seconds: float) -> None:
        """Until a message comes, or the time is over."""

    def read(self, most: int) -> Iterator[Heard]:
        """What has come."""

    def commit(self, offsets: dict[int, int]) -> None:
        """Say how far each partition is behind us."""

    def close(self) -> None:
        """Leave it."""


class News:
    """What a topic tells of the inputs."""

    def __init__(
        self,
        topic: Topic,
        inputs: Inputs,
        *,
        clock: Callable[[], float] = time.monotonic,
        count: Callable[[str, int], object] = lambda name, number: None,
    ) -> None:
        """`count` adds a number to a metric."""
        self._topic, self._inputs, self._clock, self._count = topic, inputs, clock, count
        self._heard: dict[int, deque[tuple[int, tuple[str, ...]]]] = {}
        self._commit_at_s = -math.inf
        self.wait, self.close = topic.wait, topic.close

    @property
    def is_away(self) -> bool:
        """Whether nothing is told at present, so that one must look."""
        return self._topic.is_away

    def hear(self, most: int) -> list[str]:
        """The URIs under the inputs that the next messages name, each once; of `most` messages or so."""
        uris: dict[str, None] = {}
        faults: list[tuple[Heard, Fault]] = []
        for heard in self._topic.read(most) if most > 0 else ():
            found = list(read_message(heard.content, heard.attributes))
            faults += [(heard, one) for one in found if isinstance(one, Fault)]
            named = tuple(uri for one in found if not isinstance(one, Fault) for uri in self._inputs.uris(one))
            self._remember(heard, named)
            self._count("notifications", 1)
            uris.update(dict.fromkeys(named))
        if faults:
            self._say(faults)
        return list(uris)

    def settle(self, open_uris: Callable[[], Set[str]]) -> None:
        """Commit what no open picture was named by, now and then."""
        if self._clock() < self._commit_at_s or not any(self._heard.values()):
            return
        self._commit_at_s = self._clock() + _COMMIT_EVERY_S
        still_open = open_uris()
        behind = {partition: _drop(heard, still_open) for partition, heard in self._heard.items()}
        if offsets := {partition: offset + 1 for partition, offset in behind.items() if offset is not None}:
            self._topic.commit(offsets)

    def _remember(self, heard: Heard, named: tuple[str, ...]) -> None:
        of_partition = self._heard.setdefault(heard.partition, deque())
        if of_partition and not named and not of_partition[-1][1]:
            of_partition.pop()  # of messages in a row that name nothing the last is enough
        of_partition.append((heard.offset, named))

    def _say(self, faults: list[tuple[Heard, Fault]]) -> None:
        self._count("notifications_not_understood", len(faults))
        heard, fault = faults[0]
        _LOG.warning(
            "%d notifications were not understood, the first in partition %d at offset %d: %s; "
            "what they may have named is found by the next listing",
            *(len(faults), heard.partition, heard.offset, fault.reason),
        )


def _drop(heard: deque[tuple[int, tuple[str, ...]]], still_open: Set[str]) -> int | None:
    """Forget the messages before the first one that is open; the offset of the last of them."""
    done = [offset for offset, _ in takewhile(lambda one: still_open.isdisjoint(one[1]), heard)]
    for _ in done:
        heard.popleft()
    return done[-1] if done else None


def check_news(settings: Settings, watch: WatchSettings, *, is_heard_here: bool) -> None:
    """Whether what is asked for can be; brokers that are away only for now are no fault.

    Raises:
        TopicError: it cannot.
        SourceError: the client's properties cannot be read.
    """
    if not watch.notifications:
        return
    if not Inputs(settings.input.input):
        raise TopicError("--notifications tells of objects, and no --input is in a bucket: expected s3://bucket/… say")
    if is_heard_here:
        topic = _open_topic(settings, watch)
        refusal = topic.refusal
        topic.close()
        if refusal is not None:
            raise TopicError(refusal)


def open_news(settings: Settings, watch: WatchSettings, count: Callable[[str, int], object]) -> News | None:
    """The news of a watch; None where none is asked for.

    Raises:
        TopicError: the client is not installed, or does not take its properties.
        SourceError: the properties cannot be read.
    """
    if not watch.notifications:
        return None
    return News(_open_topic(settings, watch), Inputs(settings.input.input), count=count)


def _open_topic(settings: Settings, watch: WatchSettings) -> KafkaTopic:
    config = read_client_config(watch.kafka_config_uri)
    return KafkaTopic(watch.notifications, config, group_of(settings.output.output))
