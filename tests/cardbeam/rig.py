"""Processing as a process of a run does it, for tests: a real server, a real journal, no waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from cardbeam.calls.bounded_executor import Held
from cardbeam.calls.duplicates import InFlightDuplicates
from cardbeam.calls.process_request import RequestProcessor
from cardbeam.calls.sender import Sender
from cardbeam.http.card_client import CardClient
from cardbeam.http.retry import RetryPolicy
from cardbeam.index.load import load_index
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.model.record import JournalRecord
from cardbeam.model.request import Request
from cardbeam.model.result import RequestOutcome, RequestResult
from cardbeam.ratelimit.throttle import Throttle
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.stop_signal import STOP_FILE, StopReason, StopSignal, read_stop
from cardbeam.storage.folder import LocalFolder
from tests.records import stored_records
from tests.servers import CardServer

START_US = 1_000_000


@dataclass
class Rig:
    """Processing as a process of a run does it, over images in a folder."""

    server: CardServer
    folder: LocalFolder
    open_client: Callable[..., CardClient]
    run_id: str = "r1"
    transfer: str = "file"
    dedupe_by_source: bool = False
    watches: bool = False
    duplicates: InFlightDuplicates = field(default_factory=InFlightDuplicates)

    def __post_init__(self) -> None:
        ticks = count(START_US // 1_000_000)
        self.sender = Sender(
            self.open_client(self.server.base_url, transfer=self.transfer),
            Throttle(0),
            StopSignal(self.folder, self.run_id),
            RetryPolicy(3, 600.0),
            jitter=lambda: 1.0,
            sleep=lambda _: None,
            pauses=self.watches,
        )
        self.processor = RequestProcessor(
            load_index(self.folder, self.run_id),
            self.sender,
            LocalJournal(self.folder, self.run_id),
            transfer_by_url=self.transfer == "url",
            dedupe_by_source=self.dedupe_by_source,
            now_s=lambda: float(next(ticks)),
            watches=self.watches,
        )

    def start(
        self, request: Request, duplicates: InFlightDuplicates | None = None
    ) -> RequestResult | Held[RequestResult]:
        """What a thread gets of it."""
        return self.processor.process(request, duplicates or self.duplicates)

    def process(self, request: Request, duplicates: InFlightDuplicates | None = None) -> RequestOutcome:
        """Its fate, where no other image comes while it is held."""
        ending = self.start(request, duplicates)
        if isinstance(ending, Held):
            self.sender.nothing_more()
            ending = ending.finish()
        return ending.outcome

    @property
    def stopped_by(self) -> StopReason | None:
        """Why the run stopped; None where it did not."""
        return read_stop(self.folder, run_file(self.run_id, STOP_FILE))

    @property
    def records(self) -> list[JournalRecord]:
        return stored_records(self.folder)
