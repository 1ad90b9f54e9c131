"""A webhook on a loopback port that keeps the JSON it gets."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.post_server import PostServer


class Hook(PostServer):
    """`status` is asked for the answer to the request of that number, from 1."""

    def __init__(self, status: Callable[[int], int] = lambda number: 200) -> None:
        super().__init__(self.take)
        self.received: list[dict[str, object]] = []
        self._status = status

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.root_url}/hook"

    def take(self, body: bytes) -> int:
        """Keep one notice."""
        self.received.append(json.loads(body))
        return self._status(len(self.received))
