"""An endpoint for a long watch: some calls fail for a moment, some images for longer or for good, all of them at times.

What an image does is drawn from its content and a seed, what a call does from a seed alone.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.pipeline.killing import answer
from tests.servers import Answer, CardServer, InjectedFault, failure
from tests.wire import Received

LATENCY_S = 0.3
SICK_FOR_S = 240.0
"""How long after its first call an image that will heal is answered HTTP 503."""
_STALLS_FOR_S = 45.0
_DURABLE_S = 1.5
"""A response that was sent so lately may not be on the disk."""
_OF_A_CALL = ("http_503", "http_429", "http_500", "reset", "truncated", "garbage", "stall", "slow")
_OF_AN_IMAGE = {"sick": 0.01, "error_1": 0.01, "error_3": 0.005}
POISONOUS = {"http_400": 0.005, "http_415": 0.005, "error_6": 0.005}
"""Answers that could be taken for the fault of every call; most are sent again for hours."""


@dataclass
class SoakEndpoint:
    """What it did is kept by image: successes, the first call, and what the image is."""

    share: float
    poison: bool
    sick: bool = True
    seed: int = 1
    successes: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    first_s: dict[str, float] = field(default_factory=dict)
    answered_s: dict[str, float] = field(default_factory=dict)
    last_s: float = 0.0
    """When the last response was sent."""
    _server: CardServer | None = None
    _port: int = 0
    _in_flight: int = 0
    _recent: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        self._lock, self._chance = threading.Lock(), random.Random(self.seed)
        self._down = threading.Event()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve for the block; gives what `--endpoint_url` takes."""
        self.up()
        assert self._server is not None
        try:
            yield self._server.base_url
        finally:
            self.down()

    def up(self) -> None:
        """Listen, at the same port as before."""
        self._down.clear()
        self._server = CardServer(self._answer, keeps_content=False, port=self._port)
        self._port = int(self._server.url.rpartition(":")[2])
        self._server.__enter__()

    def down(self) -> None:
        """Refuse connections, and reset what is in flight."""
        self._down.set()
        if self._server is not None:
            self._server.__exit__()
            self._server = None

    def is_sick(self, key: str) -> bool:
        """Whether an image is one that heals after a time."""
        return self.kind_of(key) == "sick"

    def kind_of(self, key: str) -> str:
        """What an image answers for good or for long; nothing where it is like most."""
        draw = random.Random(f"{self.seed} {key}").random()
        for kind, share in {**(_OF_AN_IMAGE if self.sick else {}), **(POISONOUS if self.poison else {})}.items():
            if draw < share:
                return kind
            draw -= share
        return ""

    def may_be_lost(self) -> int:
        """Calls that a kill at this moment may have paid for in vain."""
        now_s = time.monotonic()
        with self._lock:
            recent = sum(count for at_ds, count in self._recent.items() if now_s - at_ds / 10 < _DURABLE_S)
            return self._in_flight + recent

    def _answer(self, got: Received) -> Answer:
        with self._lock:
            self._in_flight += 1
            self.calls[got.key] += 1
            self.first_s.setdefault(got.key, time.monotonic())
            kind = self._draw(got.key)
        try:
            self._down.wait(LATENCY_S if kind not in ("stall", "slow") else _STALLS_FOR_S if kind == "stall" else 2.0)
            if self._down.is_set():
                return Answer(fault=InjectedFault.RESET)
            response = self._response(kind, got)
        finally:
            with self._lock:
                self._in_flight -= 1
                self.last_s = time.monotonic()
        return response

    def _draw(self, key: str) -> str:
        kind = self.kind_of(key)
        if kind == "sick":
            kind = "http_503" if time.monotonic() - self.first_s[key] < SICK_FOR_S else ""
        elif not kind and self._chance.random() < self.share:
            kind = self._chance.choice(_OF_A_CALL)
        self.faults[kind or "none"] += 1
        return kind

    def _response(self, kind: str, got: Received) -> Answer:
        if kind.startswith("http_"):
            headers = {"Retry-After": "1"} if kind == "http_429" else {}
            return Answer(b"not now", int(kind.removeprefix("http_")), headers)
        if kind.startswith("error_"):
            return failure(kind.removeprefix("error_"))
        if kind == "garbage":
            return Answer(b"<html>a proxy's page</html>", headers={"Content-Type": "text/html"})
        if kind in ("reset", "stall"):
            return Answer(fault=InjectedFault.RESET)
        response = answer(got, 0.0)
        if kind == "truncated":
            return Answer(response.body, headers=response.headers, fault=InjectedFault.TRUNCATE)
        with self._lock:
            now_s = time.monotonic()
            self.successes[got.key] += 1
            self.answered_s.setdefault(got.key, now_s)
            self._recent[int(now_s * 10)] += 1
        return response
