"""What several tests of the stages need."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from transforms.card_client import CardClient, Credentials

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
