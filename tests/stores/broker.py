"""A real Kafka broker on loopback ports, with its data in a folder: one process in KRaft mode.

It is made of its parts by Maven, as Flink is (tests/engines/install.py). A store sends to it in the clear; clients of
ours come by TLS and with a password.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.engines import install
from tests.stores.servers import free_port, wait_for

USER, PASSWORD = "cardbeam", "test-password-5e1d"
_JAVA = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_CLUSTER = "AAAAAAAAAAAAAAAAAAAAAQ"
_WITHIN_S = 20.0


class Broker:
    """A broker, from `with` to its end; it may be stopped and started in between, and keeps what it was told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._secret_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self._port}"
        self.secret_address = f"127.0.0.1:{self._secret_port}"
        """Where TLS and a password are asked for."""

    def __enter__(self) -> Broker:
        self._run = (*_JAVA, "-cp", f"{install.jars('kafka')}/*")
        self._folder.mkdir(parents=True)
        self._properties = self._folder / "server.properties"
        self._properties.write_text("\n".join(f"{name}={value}" for name, value in self._settings().items()))
        form = ("kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(self._properties))
        subprocess.run((*self._run, *form), check=True, stdout=subprocess.DEVNULL)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Let it run."""
        with (self._folder / "broker.log").open("ab") as log:
            self._child = subprocess.Popen((*self._run, "kafka.Kafka", str(self._properties)), stdout=log, stderr=log)
        wait_for(self._port, self._child)

    def stop(self) -> None:
        """Kill it: what it was told is in its folder."""
        self._child.kill()
        self._child.wait()

    def client_config(self, path: Path, **others: str) -> str:
        """A file with what a client of ours has to know."""
        path.write_text(
            json.dumps(
                {
                    "security.protocol": "SASL_SSL",
                    "ssl.ca.location": str(self._folder / "ca.pem"),
                    "sasl.mechanism": "PLAIN",
                    "sasl.username": USER,
                    "sasl.password": PASSWORD,
                    **others,
                }
            )
        )
        return str(path)

    def create(self, topic: str, partitions: int = 2) -> None:
        """Create a topic."""
        admin = self._admin()  # what it began ends with it
        for made in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
            made.result(_WITHIN_S)

    def widen(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions."""
        admin = self._admin()
        for made in admin.create_partitions([NewPartitions(topic, partitions)]).values():
            made.result(_WITHIN_S)

    def tell(self, topic: str, *messages: bytes, partition: int = 0, headers: Mapping[str, str] | None = None) -> None:
        """Send messages."""
        producer = Producer({"bootstrap.servers": self.address})
        for message in messages:
            producer.produce(topic, message, partition=partition, headers=dict(headers or {}))
        assert producer.flush(_WITHIN_S) == 0

    def ends(self, topic: str) -> dict[int, int]:
        """The offset after the last message of each partition."""
        with self._consumer("reader of offsets") as consumer:
            places = self._places(consumer, topic)
            return {one.partition: consumer.get_watermark_offsets(one, _WITHIN_S)[1] for one in places}

    def committed(self, topic: str, group: str) -> dict[int, int]:
        """How far each partition is behind a group; nothing of one where nothing was committed."""
        with self._consumer(group) as consumer:
            found = consumer.committed(self._places(consumer, topic), _WITHIN_S)
        return {one.partition: one.offset for one in found if one.offset >= 0}

    def is_committed(self, topic: str, group: str) -> bool:
        """Whether a group has read every message; False also while a broker that has just started cannot say."""
        try:
            return self.committed(topic, group) == self.ends(topic)
        except KafkaException:
            return False

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address})

    @contextmanager
    def _consumer(self, group: str) -> Iterator[Consumer]:
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": group, "enable.auto.commit": False})
        try:
            yield consumer
        finally:
            consumer.close()

    def _places(self, consumer: Consumer, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, one) for one in consumer.list_topics(topic, _WITHIN_S).topics[topic].partitions]

    def _settings(self) -> dict[str, Any]:
        controller_port = free_port()
        plain, secret = f"PLAINTEXT://{self.address}", f"SASL_SSL://{self.secret_address}"
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
            "listeners": f"{plain},{secret},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"{plain},{secret}",
            "log.dirs": self._folder / "data",
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "auto.create.topics.enable": "false",
            "broker.heartbeat.interval.ms": 200,
            "broker.session.timeout.ms": 1000,  # after a crash it waits for the end of its earlier session
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self._certificate(),
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
            f'required user_{USER}="{PASSWORD}";',
        }

    def _certificate(self) -> Path:
        """Kafka takes keys in PKCS #8 only."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self._folder / "ca.pem"))
        issued = authority.issue_cert("127.0.0.1")
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        path = self._folder / "broker.pem"
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(pem + b"".join(one.bytes() for one in issued.cert_chain_pems))
        return path
