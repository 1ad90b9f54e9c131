"""A watch that a real store tells of its objects through a real broker: each image once, whatever falls over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cardbeam.storage.folder import Folder, open_folder
from cardbeam.storage.object_store import connect
from cardbeam.watch.notifications.kafka_consumer import (
    KafkaConsumer,
    ReceivedMessage,
    TopicError,
    group_of,
    read_client_config,
)
from tests.cardbeam.watch.notifications.test_notification_feed import reported
from tests.engines import install
from tests.pipeline import cli
from tests.servers import CardServer
from tests.stores.broker import PASSWORD, Broker
from tests.stores.runs import Ends, answer_by_content, ids_of, wait
from tests.stores.servers import S3, StoreServer

pytestmark = pytest.mark.slow

TOPIC = "new-objects"
NEVER = ("--poll_interval_s=3600", "--full_scan_interval_s=3600")
"""The inputs are listed once, at the begin: what comes later is told, or not found."""


@dataclass(frozen=True, slots=True)
class Place:
    """A broker, and a bucket of a store that tells it of its objects."""

    broker: Broker
    config: str
    images: Folder

    def topic(self, name: str, *, sleep: Callable[[float], None] = time.sleep, **config: str) -> KafkaConsumer:
        uri = f"kafka://{self.broker.secret_address}/{name}"
        return KafkaConsumer(uri, {**read_client_config(self.config), **config}, "test", sleep=sleep)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("kafka")
    with pytest.MonkeyPatch.context() as patch:
        try:
            with Broker(folder / "broker") as broker:
                broker.create(TOPIC)
                reported = {"VGW_EVENT_KAFKA_URL": broker.address, "VGW_EVENT_KAFKA_TOPIC": TOPIC}
                with StoreServer(S3, folder / "store", **reported) as store:
                    for name, value in S3.environment(store.url).items():
                        patch.setitem(cli.ENVIRONMENT, name, value)
                        patch.setenv(name, value)
                    connect.cache_clear()
                    yield Place(broker, broker.client_config(folder / "client.json"), open_folder(f"{S3.uri}/in"))
        except install.NotInstalled as missing:
            pytest.skip(str(missing))
    connect.cache_clear()


def receive(topic: KafkaConsumer, count: int) -> list[ReceivedMessage]:
    """The next messages, in the order of their partitions."""
    heard: list[ReceivedMessage] = []
    until_s = time.monotonic() + 30
    while len(heard) < count and time.monotonic() < until_s:
        topic.wait(0.5)
        heard += topic.read(100)
    return sorted(heard, key=lambda one: (one.partition, one.offset))


def test_each_image_once_through_a_restarted_broker_and_a_kill(
    place: Place, draw: Callable[..., bytes], tmp_path: Path
) -> None:
    """Odd names, messages that come twice, that name what is gone, and that are none."""
    try:
        prism = f"--prism_location={install.prism()}"
    except install.NotInstalled as error:
        pytest.skip(str(error))
    broker, ends = place.broker, Ends(place.images, open_folder(str(tmp_path / "out")))
    names = [
        "0.jpg",
        "1.jpg",
        "a b.jpg",
        "a+b.jpg",
        "a%20b.jpg",
        "thẻ/căn cước.jpg",
        *(f"{n}.jpg" for n in range(2, 8)),
    ]
    images = {name: draw(number) for number, name in enumerate(names)}

    def put(*chosen: str) -> None:
        ends.put({name: images[name] for name in chosen})

    with CardServer(answer_by_content()) as server:
        topic = f"--notifications=kafka://{broker.secret_address}/{TOPIC}"
        given = [*ends.arguments(server, prism, topic, f"--kafka_config_uri={place.config}", *NEVER)]
        given.append("--publish_interval_s=2")
        put(*names[:2])
        child = cli.start("watch", *given)
        wait(lambda: len(server.calls) == 2)
        put(*names[2:6])
        wait(lambda: len(server.calls) == 6)
        broker.tell(
            TOPIC, b"{", reported("in/0.jpg"), reported("in/never-put.jpg"), b'{"Event": "s3:TestEvent"}', partition=1
        )
        broker.stop()
        broker.start()
        put(*names[6:8])
        wait(lambda: len(server.calls) == 8)
        os.killpg(child.pid, signal.SIGKILL)
        _, first_err = child.communicate()
        put(*names[8:10])
        child = cli.start("watch", *given)
        wait(lambda: len(server.calls) == 10)
        put(*names[10:])
        wait(lambda: len(server.calls) == 12)
        wait(lambda: broker.is_committed(TOPIC, group_of(ends.output.root)))
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    receipts = ends.receipts()
    assert [(one["status"], one["reconciled"]) for one in receipts] == [("interrupted", True), ("complete", True)]
    assert sum(one["requests"]["succeeded"] for one in receipts) == 12
    assert sorted(row["id"] for row in ends.rows("documents/type=passport")) == sorted(ids_of(images))
    assert server.calls.total() - 12 <= 2, "what was in progress at the kill"
    assert "1 notifications were not understood, the first in partition 1" in first_err + err
    written = [ends.output.read(path) for path in ends.paths("runs", "dead_letters", "ledger")]
    assert not any(PASSWORD in text for text in (out, err, first_err))
    assert not any(PASSWORD.encode() in content for content in written)


def test_a_topic_is_heard_from_what_was_committed_on(place: Place) -> None:
    """What was told before the first time is left out; a partition that is new is heard from its beginning."""
    broker = place.broker
    broker.create("resumed", 1)
    broker.tell("resumed", b"before")
    topic = place.topic("resumed")
    broker.tell("resumed", b"1", b"2", b"3", headers={"bucketId": "cards"})
    heard = receive(topic, 3)
    assert [(one.offset, one.content, one.attributes) for one in heard] == [
        (offset, content, {"bucketId": "cards"}) for offset, content in ((1, b"1"), (2, b"2"), (3, b"3"))
    ]
    topic.commit({0: 3})
    wait(lambda: broker.committed("resumed", "test") == {0: 3})
    topic.close()
    broker.widen("resumed", 2)
    broker.tell("resumed", b"4", partition=1)
    topic = place.topic("resumed")
    broker.tell("resumed", b"5", partition=1)
    heard = receive(topic, 2)
    topic.close()
    assert [one.content for one in heard] == [b"3", b"5"], "4 came before the topic was opened, and is listed"


def test_a_message_that_nobody_takes_is_kept_without_haste(place: Place) -> None:
    place.broker.create("kept", 1)
    slept: list[float] = []
    topic = place.topic("kept", sleep=slept.append)
    place.broker.tell("kept", b"1")
    topic.wait(30)
    topic.wait(0.5)
    assert (slept, [one.content for one in topic.read(1)]) == ([0.5], [b"1"])
    topic.close()


@pytest.mark.parametrize(
    ("topic", "config", "stated"),
    [
        ("nowhere", {}, "(UNKNOWN_TOPIC_OR_PART): create the topic first"),
        (TOPIC, {"sasl.password": "wrong-3f8a"}, "(_AUTHENTICATION): check security.protocol"),
        (TOPIC, {"ssl.ca.location": "/etc/ssl/certs/ca-certificates.crt"}, "(_SSL): check security.protocol"),
    ],
)
def test_what_waiting_does_not_mend_is_refused(place: Place, topic: str, config: dict[str, str], stated: str) -> None:
    found = place.topic(topic, **config)
    assert found.is_unavailable
    assert found.refusal is not None
    assert stated in found.refusal
    assert "3f8a" not in found.refusal
    found.close()
    with pytest.raises(TopicError, match=r"check security\.protocol"):
        place.topic(topic, **{"security.protocol": "wrong"})


def test_brokers_that_are_away_are_waited_for(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.broker.create("away", 1)
    topic = place.topic("away")
    place.broker.stop()
    until_s = time.monotonic() + 20
    while not topic.is_unavailable and time.monotonic() < until_s:
        topic.wait(0.2)
        assert list(topic.read(10)) == []
    assert (topic.is_unavailable, topic.refusal) == (True, None)
    place.broker.start()
    place.broker.tell("away", b"1")
    assert [one.content for one in receive(topic, 1)] == [b"1"]
    topic.wait(0.1)
    assert not topic.is_unavailable
    topic.close()
    assert "is not heard" in caplog.text


def test_the_command_refuses_what_cannot_be_heard(place: Place, tmp_path: Path) -> None:
    """One line, no traceback, and no run."""
    given = ["--output", str(tmp_path), "--endpoint_url=http://127.0.0.1:9/api/v2"]
    topic = f"--notifications=kafka://{place.broker.secret_address}/nowhere"
    found = cli.run("watch", f"--input={S3.uri}", topic, f"--kafka_config_uri={place.config}", *given)
    assert (found.returncode, found.stdout) == (2, "")
    assert "/nowhere cannot be heard (UNKNOWN_TOPIC_OR_PART): create the topic first" in found.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
