"""A Kafka topic, heard in one place: every partition, from what was committed on; what is heard is committed later.

No broker that is away, and nothing that it says, ends a watch: the inputs are listed in the meantime.
The client is confluent-kafka (librdkafka), an extra: it is imported where a topic is opened.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from cardbeam.config.settings import TOPIC
from cardbeam.storage.open_uri import CANNOT_OPEN, SourceError, open_source

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, TopicPartition

_LOG = logging.getLogger("cardbeam")
_ANSWER_WITHIN_S = 3.0
_ASK_EVERY_S, _ASK_AGAIN_AFTER_S = 60.0, 5.0
"""New partitions are looked for so often; brokers that are away, more often."""
_GATHER_S = 0.1
"""Messages that come so soon after each other are taken together: each check of what is processed costs a listing."""
_AT_ONCE = 1000
_DEFAULTS = {"client.id": "cardbeam", "auto.offset.reset": "earliest", "queued.max.messages.kbytes": 4096}
_REFUSALS = {
    "UNKNOWN_TOPIC_OR_PART": "create the topic first, or let this user describe it",
    "TOPIC_AUTHORIZATION_FAILED": "this user needs Describe and Read on the topic",
    "GROUP_AUTHORIZATION_FAILED": "this user needs Read on the consumer group; group.id may name another",
    "_AUTHENTICATION": "check security.protocol, sasl.mechanism, sasl.username and sasl.password",
    "_SSL": "check security.protocol and ssl.ca.location",
}
"""What waiting will not mend, and the properties or rights to check."""


class TopicError(SourceError):
    """A topic that cannot be heard however long one waits; says what was got, and what to do."""


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message and its place."""

    partition: int
    offset: int
    content: bytes | None
    attributes: Mapping[str, str]


def read_client_config(uri: str | None) -> dict[str, Any]:
    """The properties of the client from a small JSON; none without one.

    Raises:
        SourceError: they cannot be read. The message holds no value.
    """
    if uri is None:
        return {}
    try:
        with open_source(uri) as file:
            found = orjson.loads(file.read())
    except CANNOT_OPEN:  # a JSON error would quote the file
        raise SourceError(f"--kafka_config_uri {uri} cannot be read as JSON") from None
    if not isinstance(found, dict) or not all(isinstance(value, str | int | float) for value in found.values()):
        raise SourceError(f"--kafka_config_uri {uri} is not of the form " + '{"security.protocol": "SASL_SSL", …}')
    return found


def group_of(output: str) -> str:
    """The consumer group of an output, unless the client's properties name one."""
    return f"cardbeam-{hashlib.sha256(output.encode()).hexdigest()[:8]}"


class KafkaConsumer:
    """Open from the first on; `is_unavailable` while no broker answers or the topic is not to be had."""

    def __init__(
        self,
        uri: str,
        config: Mapping[str, Any],
        group: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Reach for the topic; where the brokers are away, it is tried again while one waits.

        Raises:
            TopicError: the client is not installed, or does not take its properties.
        """
        place = TOPIC.fullmatch(uri)
        assert place is not None, "the settings were checked"
        self._uri, self._topic, self._clock, self._sleep = uri, place["topic"], clock, sleep
        ours = {"bootstrap.servers": place["brokers"], "enable.auto.commit": False, "enable.auto.offset.store": False}
        self._kafka = _client()
        self._consumer = self._open(
            {**_DEFAULTS, "group.id": group, **config, **ours, "error_cb": self._record_error, "log_level": 0}
        )
        self._why: set[str] = set()
        self._partitions: set[int] = set()
        self._first: list[Message] = []
        self._ask_at_s = -math.inf
        self.is_unavailable = False
        self._ask()

    @property
    def refusal(self) -> str | None:
        """Why waiting will not have it heard, and what to do; None where it is heard, or may be soon."""
        why = next((why for why in _REFUSALS if why in self._why), None)
        return f"{self._uri} cannot be heard ({why}): {_REFUSALS[why]}" if why else None

    def wait(self, seconds: float) -> None:
        """Until a message comes, or the time is over."""
        if self._clock() >= self._ask_at_s:
            self._ask()
        if self._first:  # nobody took it: there is no room for more
            self._sleep(seconds)
        elif (message := self._consumer.poll(seconds)) is not None:
            self._first.append(message)

    def read(self, most: int) -> Iterator[ReceivedMessage]:
        """What has come; more than `most` only by the one that was waited for."""
        messages, self._first = self._first, []
        if not messages and (message := self._consumer.poll(0)) is not None:
            messages.append(message)
        if messages and most > 1:
            messages += self._consumer.consume(min(most, _AT_ONCE) - 1, _GATHER_S)
        for message in messages:
            if (error := message.error()) is not None:
                self._record_error(error)
            else:
                headers: Any = message.headers() or ()  # said to be bytes, too
                attributes = {name: _as_text(value) for name, value in headers}
                if self.is_unavailable:
                    self._ask_at_s = -math.inf
                yield ReceivedMessage(
                    _number(message.partition()), _number(message.offset()), message.value(), attributes
                )

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Say how far each partition is behind us; what fails is said again with the next."""
        try:
            self._consumer.commit(offsets=[self._at(*place) for place in offsets.items()], asynchronous=True)
        except self._kafka.KafkaException as error:
            _LOG.debug("offsets were not committed: %s", error.args[0].name())

    def close(self) -> None:
        """Leave it."""
        self._consumer.close()

    def _open(self, config: dict[str, Any]) -> Any:
        try:
            return self._kafka.Consumer(config)
        except (self._kafka.KafkaException, TypeError, ValueError) as error:  # its words may quote a value
            names = ", ".join(name for name in config if f'"{name}"' in str(error))
        raise TopicError(f"the Kafka client does not take its properties{names and f': check {names}'}")

    def _ask(self) -> None:
        """Whether the brokers are there, and which partitions: a new one is read from its beginning."""
        was_unavailable = self.is_unavailable
        try:
            found = self._consumer.list_topics(self._topic, _ANSWER_WITHIN_S).topics[self._topic]
            if found.error is not None:
                raise self._kafka.KafkaException(found.error)
            self._assign(set(found.partitions))
        except self._kafka.KafkaException as error:
            if (message := self._consumer.poll(0)) is not None:  # has the client say what it was
                self._first.append(message)
            self._record_error(error.args[0])
            self.is_unavailable = True
        else:
            self._why.clear()
            self.is_unavailable = False
        self._ask_at_s = self._clock() + (_ASK_AGAIN_AFTER_S if self.is_unavailable else _ASK_EVERY_S)
        if self.is_unavailable != was_unavailable:
            state = (
                f"not heard ({', '.join(sorted(self._why))}): the inputs are listed" if self.is_unavailable else "heard"
            )
            _LOG.log(logging.WARNING if self.is_unavailable else logging.INFO, "%s is %s", self._uri, state)

    def _assign(self, partitions: set[int]) -> None:
        if not partitions - self._partitions:
            return
        is_first = not self._partitions
        new = self._consumer.committed([self._at(one) for one in partitions - self._partitions], _ANSWER_WITHIN_S)
        for one in new:
            if one.error is not None:
                raise self._kafka.KafkaException(one.error)
            if one.offset < 0:  # nothing was committed: what was told before is what the first listing shows
                low, high = self._consumer.get_watermark_offsets(one, _ANSWER_WITHIN_S)
                one.offset = high if is_first else low
        self._consumer.incremental_assign(new)
        self._partitions |= partitions
        self.commit({one.partition: one.offset for one in new})

    def _at(self, partition: int, offset: int = -1) -> TopicPartition:
        place: TopicPartition = self._kafka.TopicPartition(self._topic, partition, offset)
        return place

    def _record_error(self, error: KafkaError) -> None:
        """What the client says by itself, many times over while the brokers are away."""
        self._why.add(error.name())
        if error.name() == "_ALL_BROKERS_DOWN" and not self.is_unavailable:
            self._ask_at_s = -math.inf


def _client() -> Any:
    try:
        import confluent_kafka  # noqa: PLC0415  # an extra
    except ImportError:
        raise TopicError("--notifications needs confluent-kafka: pip install 'cardbeam[kafka]'") from None
    return confluent_kafka


def _number(found: int | None) -> int:
    assert found is not None, "only a message that is sent has none"
    return found


def _as_text(value: bytes | str | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
