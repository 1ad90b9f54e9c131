"""What several tests of the stages need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.transforms.rig import Rig
from transforms.card_client import CardClient, Credentials
from transforms.elements import Request
from transforms.sources import describe
from transforms.storage import LocalFolder

KEY, SECRET = "key-é", "secret:with colons ü"


@pytest.fixture
def client_of() -> Iterator[Callable[..., CardClient]]:
    """A function (base URL, options) -> client, closed at the end."""
    clients: list[CardClient] = []

    def open_client(base_url: str, **options: object) -> CardClient:
        clients.append(CardClient(base_url, Credentials(KEY, SECRET), **options))
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def rig_of(tmp_path: Path, client_of: Callable[..., CardClient]) -> Callable[..., Rig]:
    """A function (server, options) -> Rig, all over one output."""
    return lambda server, **options: Rig(server, LocalFolder(str(tmp_path / "output")), client_of, **options)


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Request]:
    """A function (name, content) -> Request of a picture that is there."""

    def put_picture(name: str, content: bytes, operation: str = "ekyc/card") -> Request:
        path = tmp_path / name
        path.write_bytes(content)
        return Request(operation, (describe(str(path)),))

    return put_picture
