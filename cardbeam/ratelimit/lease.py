"""One quota for all workers of a run, or of several, by lease objects in a folder: no service, no common clock.

Each worker writes a lease, writes it again every `RENEW_S`, and lists all leases after each
write. Of the quota's Q slots (see `throttle`) the worker of rank r among n takes the slots k
of 0..Q-1 with k mod n = r: whole numbers that add up to Q.

**Guarantee.** In no window of W seconds do all workers together give more than Q permissions,
while workers join, leave, pause and die, provided that a written or removed object shows in
listings within `SHOWS_WITHIN_S`, and that clocks run equally fast. No clock is compared with
another's: each worker uses its own monotonic one. Of a worker that is held up between a
permission and its socket: its own windows count a request from when it leaves; where shares
change, a hold-up of `HELD_UP_S` is stood (W below is longer by that).

**Why.** Let S be the workers that give a permission within [t-W, t], and s, u two of them.
1. u gives its first permission not before L + D + W after its lease was first written
   (L `FRESH_S`, D `SHOWS_WITHIN_S`). So the lease shows in each listing from t-W-L on.
2. s knows u as alive in each of these listings. s takes a lease for lost when it did not change
   for T (`DEAD_AFTER_S`) on s's clock. Then u's writes lie more than T-D apart, and u, who
   counts from the start of one write to the end of the next, sees more than A
   (`RENEWED_WITHIN_S` < T-D): it begins again as if it had just joined, or, while the next write
   is not done, gives no permission A after the start of the last.
3. At t-W, s used a listing younger than L: it gives permissions only W after such listings
   come without a gap. A newcomer need not count before L has passed since the last listing
   without it (1 says that it gives nothing until W later): shares do not shrink too soon.
4. Slots are the least of the last W seconds, so at its last permission in the window s had at
   most the slots of its view at t-W, which held all of S. More workers in a view, or a higher
   rank, never make for more slots: (Q-1-r) // n + 1 falls in both. So the slots in use are at
   most those of the view S: together Q. The throttle's log keeps each worker within its slots.
5. A lease that was removed counts no longer at once, unlike a lost one: u removes it only when all
   its requests have ended, the last of them a window ago (`quiet_s`). So u is not in S from then on.

**The first** of a run need not wait so long, and do not where a watch asks for it: they begin 2.5 s
sooner, but a worker that joins a second after them costs its share for 3 s, which a backfill need not
pay. A worker is one of the first if it lists before it writes its lease for the first time, finds none,
and has it written within `FIRST_WITHIN_S` (F). It begins again with its first listing F + 2 D or more
after that write, and sends W later.
6. Let s and u be first ones. s's listing before its write, at b, did not show u: u was written
   after b-D. So u's listing, F + 2 D later, is from after b+F+D: s had been written by b+F, and
   shows. So each of them counts all of them, from its first permission on, and 4 holds for them.
7. A worker that is not a first one waits as 1 says, and the first ones count it as 2 and 3 say:
   they list on without a gap. Who sent before them was gone by b, more than W before.
8. All this holds for workers of several outputs over one folder (`rate_uri`) as well, if all have the
   same Q and W, which `shared_limit` sees to: nothing above asks whose worker one is.
9. There a lost worker's lease is removed, by name, a minute after it last changed: by 2 its worker
   begins again as if it had just joined, with a lease of another name.

**Costs.** A write, a listing and a removal for each worker and `RENEW_S`; a wait of L + D + W
(6 s for whole rates) before a worker's first permission, less than 3 s of which its share is
idle, or of F + 2 D + W and up to one renewal (4 s) for the first ones; the share of one that is done is
idle for a window and a renewal (2 s), a lost worker's for T + D + W + two renewals (9 s) at the most.
Where workers are more than slots, some wait with none until another leaves.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from cardbeam.ratelimit.membership import FRESH_S, SHOWS_WITHIN_S, View, window_s
from cardbeam.ratelimit.throttle import Quota
from cardbeam.run_state.liveness.worker_heartbeat import counts_of
from cardbeam.storage.folder import Folder

RENEW_S = 1.0
RENEWED_WITHIN_S = 4.0

FIRST_WITHIN_S = 0.5
"""From the listing that shows no lease to the end of the first write."""


class Lease:
    """This worker's lease, and its share of the quota. `renew` and `release` are for one thread, `slots` for any."""

    def __init__(
        self,
        folder: Folder,
        path: str,
        quota: Quota,
        worker: str,
        clock: Callable[[], float],
        *,
        begins_soon: bool = False,
        clears_lost: bool = False,
    ) -> None:
        """All who share the quota have their leases below `path` of one folder.

        `begins_soon`: as one of the first of a run it sends as soon as it may, not when all who join with it may.
        `clears_lost`: no end of a run removes what lost workers left.
        """
        self._folder, self._path, self._begins_soon = folder, path, begins_soon
        self._clears_lost, self._listed = clears_lost, list[str]()
        self._worker, self._clock, self._quota = worker, clock, quota
        self._lock = threading.Lock()
        self._count = 0
        self._objects: list[str] = []
        self._written = ""
        self._view, self._written_s = View(worker, quota), -math.inf
        self._known_s = self._begins_s = math.inf

    @property
    def quiet_s(self) -> float:
        """How long ago the last request must have ended when this worker leaves."""
        return self._quota.guarded_s

    def slots(self, now_s: float) -> int:
        """Slots that may be used now: none before the others must know of us, none after they may have given us up."""
        with self._lock:
            is_known = now_s >= self._known_s
            is_held = now_s <= self._written_s + RENEWED_WITHIN_S
            return self._view.slots(now_s) if is_known and is_held else 0

    def renew(self) -> None:
        """Write and list once; list before too, where no lease was written yet.

        Raises:
            OSError: the store did not take it, or did not list; the next time may be in time still.
        """
        looked_s = self._clock()
        may_be_first = self._begins_soon and self._written_s == -math.inf
        is_first = may_be_first and not self._list().keys() - {self._worker}
        self._count += 1  # also where the write fails: it may show, and the next must differ from it
        self._objects.append(f"{self._path}/{self._worker}-{self._count:09d}.lease")
        started_s = self._clock()
        self._folder.write(self._objects[-1], b"")
        before, self._written = self._written, self._objects[-1]
        ended_s = self._clock()
        with self._lock:
            if ended_s - self._written_s > RENEWED_WITHIN_S:
                self._known_s = ended_s + FRESH_S + SHOWS_WITHIN_S + window_s(self._quota)
                is_first = is_first and ended_s - looked_s <= FIRST_WITHIN_S
                self._begins_s = ended_s + FIRST_WITHIN_S + 2 * SHOWS_WITHIN_S if is_first else math.inf
            self._written_s = started_s
        counts = self._list()
        with self._lock:
            if ended_s >= self._begins_s:
                self._view, self._known_s, self._begins_s = View(self._worker, self._quota), ended_s, math.inf
            self._view.take(counts, ended_s, self._clock())
        if self._clears_lost and (lost := self._view.lost()):
            self._folder.delete([one for one in self._listed if counts_of([one]).keys() & lost])
        if before in self._objects:  # it may be all that shows yet
            self._delete(self._objects[: self._objects.index(before)])

    def release(self) -> None:
        """Give the share back, `quiet_s` after the last request has ended.

        Nothing is given from now on until the lease was renewed and waited for.

        Raises:
            OSError: the store did not remove it; the others will take it for lost.
        """
        with self._lock:
            self._view, self._written_s = View(self._worker, self._quota), -math.inf
            self._known_s = self._begins_s = math.inf
        self._delete(self._objects)

    def _list(self) -> dict[str, int]:
        self._listed = [file.path for file in self._folder.list(self._path)]
        return counts_of(self._listed)

    def _delete(self, paths: list[str]) -> None:
        if paths:
            self._folder.delete(paths)
            self._objects = self._objects[len(paths) :]
