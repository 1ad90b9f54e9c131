"""The stores, each started once behind a proxy that a test may tell to break requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cardbeam.storage.environment import RETRY_S_VARIABLE
from cardbeam.storage.object_store import connect
from tests.engines.install import NotInstalled
from tests.pipeline import cli
from tests.stores.proxy import FaultProxy
from tests.stores.servers import KINDS, StoreServer


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of a store that runs, and the proxy that stands before it."""

    uri: str
    scheme: str
    proxy: FaultProxy
    environment: dict[str, str]


@pytest.fixture(scope="session", params=KINDS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """One of the stores, behind its proxy."""
    kind = KINDS[request.param]
    try:
        with (
            StoreServer(kind, tmp_path_factory.mktemp("store") / "data") as server,
            FaultProxy(server.url, speaks_xml=kind.speaks_xml) as proxy,
        ):
            yield Bucket(kind.uri, kind.scheme, proxy, dict(kind.environment(proxy.url)))
    except NotInstalled as missing:
        pytest.skip(str(missing))


@pytest.fixture
def bucket(running: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A store whose requests all go well until a test says otherwise, known to this process."""
    for name, value in (running.environment | {RETRY_S_VARIABLE: "2"}).items():
        monkeypatch.setitem(cli.ENVIRONMENT, name, value)
        monkeypatch.setenv(name, value)
    connect.cache_clear()
    running.proxy.reset()
    yield running
    running.proxy.reset()
    connect.cache_clear()
