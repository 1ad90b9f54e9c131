"""Messages of a topic -> URIs to check, and how far the topic is behind us.

An offset is committed when no image that a message up to it named is still open: dispatched or waiting to be. So what
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
from cardbeam.watch.notifications.event_formats import Inputs, InvalidNotification, read_message
from cardbeam.watch.notifications.kafka_consumer import (
    KafkaConsumer,
    ReceivedMessage,
    TopicError,
    group_of,
    read_client_config,
)

_LOG = logging.getLogger("cardbeam")
_COMMIT_EVERY_S = 5.0


class Topic(Protocol):
    """Where messages come from, as `KafkaConsumer` does it."""

    is_unavailable: bool

    def wait(self, seconds: float) -> None:
        """Until a message comes, or the time is over."""

    def read(self, most: int) -> Iterator[ReceivedMessage]:
        """What has come."""

    def commit(self, offsets: dict[int, int]) -> None:
        """Say how far each partition is behind us."""

    def close(self) -> None:
        """Leave it."""


class NotificationFeed:
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
        self._unprocessed: dict[int, deque[tuple[int, tuple[str, ...]]]] = {}
        self._commit_at_s = -math.inf
        self.wait, self.close = topic.wait, topic.close

    @property
    def is_unavailable(self) -> bool:
        """Whether nothing is told at present, so that one must look."""
        return self._topic.is_unavailable

    def poll(self, most: int) -> list[str]:
        """The URIs under the inputs that the next messages name, each once; of `most` messages or so."""
        uris: dict[str, None] = {}
        invalid: list[tuple[ReceivedMessage, InvalidNotification]] = []
        for message in self._topic.read(most) if most > 0 else ():
            found = list(read_message(message.content, message.attributes))
            invalid += [(message, one) for one in found if isinstance(one, InvalidNotification)]
            named = tuple(
                uri for one in found if not isinstance(one, InvalidNotification) for uri in self._inputs.uris(one)
            )
            self._remember(message, named)
            self._count("notifications_received", 1)
            uris.update(dict.fromkeys(named))
        if invalid:
            self._say(invalid)
        return list(uris)

    def commit_processed(self, open_uris: Callable[[], Set[str]]) -> None:
        """Commit what no open image was named by, now and then."""
        if self._clock() < self._commit_at_s or not any(self._unprocessed.values()):
            return
        self._commit_at_s = self._clock() + _COMMIT_EVERY_S
        still_open = open_uris()
        behind = {partition: _drop(message, still_open) for partition, message in self._unprocessed.items()}
        if offsets := {partition: offset + 1 for partition, offset in behind.items() if offset is not None}:
            self._topic.commit(offsets)

    def _remember(self, message: ReceivedMessage, named: tuple[str, ...]) -> None:
        of_partition = self._unprocessed.setdefault(message.partition, deque())
        if of_partition and not named and not of_partition[-1][1]:
            of_partition.pop()  # of messages in a row that name nothing the last is enough
        of_partition.append((message.offset, named))

    def _say(self, invalid: list[tuple[ReceivedMessage, InvalidNotification]]) -> None:
        self._count("notifications_invalid", len(invalid))
        message, fault = invalid[0]
        _LOG.warning(
            "%d notifications were not understood, the first in partition %d at offset %d: %s; "
            "what they may have named is found by the next listing",
            *(len(invalid), message.partition, message.offset, fault.reason),
        )


def _drop(message: deque[tuple[int, tuple[str, ...]]], still_open: Set[str]) -> int | None:
    """Forget the messages before the first one that is open; the offset of the last of them."""
    done = [offset for offset, _ in takewhile(lambda one: still_open.isdisjoint(one[1]), message)]
    for _ in done:
        message.popleft()
    return done[-1] if done else None


def check_feed(settings: Settings, watch: WatchSettings, *, reads_topic_here: bool) -> None:
    """Whether what is asked for can be; brokers that are away only for now are no fault.

    Raises:
        TopicError: it cannot.
        SourceError: the client's properties cannot be read.
    """
    if not watch.notifications:
        return
    if not Inputs(settings.input.input):
        raise TopicError("--notifications tells of objects, and no --input is in a bucket: expected s3://bucket/… say")
    if reads_topic_here:
        topic = _open_topic(settings, watch)
        refusal = topic.refusal
        topic.close()
        if refusal is not None:
            raise TopicError(refusal)


def open_feed(settings: Settings, watch: WatchSettings, count: Callable[[str, int], object]) -> NotificationFeed | None:
    """The news of a watch; None where none is asked for.

    Raises:
        TopicError: the client is not installed, or does not take its properties.
        SourceError: the properties cannot be read.
    """
    if not watch.notifications:
        return None
    return NotificationFeed(_open_topic(settings, watch), Inputs(settings.input.input), count=count)


def _open_topic(settings: Settings, watch: WatchSettings) -> KafkaConsumer:
    config = read_client_config(watch.kafka_config_uri)
    return KafkaConsumer(watch.notifications, config, group_of(settings.output.output))
