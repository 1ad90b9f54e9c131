"""Settling as a process of a run does it, for tests: a real server, a real journal, no waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from cardbeam.calls.bounded_executor import Held
from cardbeam.calls.duplicates import Claims
from cardbeam.calls.process_request import Settler
from cardbeam.calls.sender import Sender
from cardbeam.http.card_client import CardClient
from cardbeam.http.retry import RetryPolicy
from cardbeam.index.load import load_answered
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.model.record import Settled
from cardbeam.model.request import Request
from cardbeam.model.result import Ending, Fate
from cardbeam.ratelimit.throttle import Throttle
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.stop_signal import STOP_FILE, StopReason, StopSwitch, read_stop
from cardbeam.storage.folder import LocalFolder
from tests.records import stored_records
from tests.servers import CardServer

START_US = 1_000_000


@dataclass
class Rig:
    """Settling as a process of a run does it, over pictures in a folder."""

    server: CardServer
    folder: LocalFolder
    open_client: Callable[..., CardClient]
    run_id: str = "r1"
    transfer: str = "file"
    knows_by_source: bool = False
    watches: bool = False
    claims: Claims = field(default_factory=Claims)

    def __post_init__(self) -> None:
        ticks = count(START_US // 1_000_000)
        self.sender = Sender(
            self.open_client(self.server.base_url, transfer=self.transfer),
            Throttle(0),
            StopSwitch(self.folder, self.run_id),
            RetryPolicy(3, 600.0),
            jitter=lambda: 1.0,
            sleep=lambda _: None,
            pauses=self.watches,
        )
        self.settler = Settler(
            load_answered(self.folder, self.run_id),
            self.sender,
            LocalJournal(self.folder, self.run_id),
            sends_urls=self.transfer == "url",
            knows_by_source=self.knows_by_source,
            now_s=lambda: float(next(ticks)),
            watches=self.watches,
        )

    def start(self, request: Request, claims: Claims | None = None) -> Ending | Held[Ending]:
        """What a thread gets of it."""
        return self.settler.settle(request, claims or self.claims)

    def settle(self, request: Request, claims: Claims | None = None) -> Fate:
        """Its fate, where no other image comes while it is held."""
        ending = self.start(request, claims)
        if isinstance(ending, Held):
            self.sender.nothing_more()
            ending = ending.finish()
        return ending.fate

    @property
    def stopped_by(self) -> StopReason | None:
        """Why the run stopped; None where it did not."""
        return read_stop(self.folder, run_file(self.run_id, STOP_FILE))

    @property
    def records(self) -> list[Settled]:
        return stored_records(self.folder)
