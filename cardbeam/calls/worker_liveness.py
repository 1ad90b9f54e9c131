"""How a worker shows that it lives, and what its permissions to send are asked of.

A worker that shares the rate within its run shows life by its lease, another one by a heartbeat. One that is alone has
neither, but where outputs share the rate: it lives and dies with the process that holds the run's lock.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from cardbeam.config.settings import RateSettings
from cardbeam.ratelimit.envoy import OpenLimiter, asker
from cardbeam.ratelimit.lease import Lease
from cardbeam.ratelimit.shared_limit import agree_on_limit
from cardbeam.ratelimit.throttle import Quota, Throttle
from cardbeam.run_state.layout import LEASES, run_file
from cardbeam.run_state.liveness.run_lock import Hold, boottime_s
from cardbeam.run_state.liveness.worker_heartbeat import Heartbeat
from cardbeam.run_state.stop_signal import StopSignal
from cardbeam.storage.folder import Folder


class Liveness:
    """One worker's lease or heartbeat, and its share in the run's lock."""

    def __init__(
        self,
        folder: Folder,
        run_id: str,
        rate: RateSettings,
        stop: StopSignal,
        *,
        is_alone: bool,
        begins_soon: bool = False,
    ) -> None:
        """`stop` is pulled where another run has the lock, and where this run ended while the lock was being read.

        Raises:
            OtherLimit: the folder of `rate_uri` is for another limit.
        """
        self._lease: Lease | None = None
        self._heartbeat: Heartbeat | None = None
        self._hold: Hold | None = None
        worker, shared = uuid.uuid4().hex, rate.rate_folder(folder.file_mode)
        if rate.max_requests_per_second and not rate.rate_service and (shared or not is_alone):
            self._lease = Lease(
                shared or folder,
                LEASES if shared else run_file(run_id, LEASES),
                Quota.of(rate.max_requests_per_second),
                worker,
                boottime_s,
                begins_soon=begins_soon,
                clears_lost=shared is not None,
            )
        if shared:
            agree_on_limit(shared, rate.max_requests_per_second)
        if not is_alone and (shared or not self._lease):
            self._heartbeat = Heartbeat(folder, run_id, worker)
        if not is_alone or not folder.is_local:  # on this machine's disk the system holds the lock for its process
            show_life = self._heartbeat.beat if self._heartbeat else _nothing
            self._hold = Hold(folder, run_id, stop.abandon, show_life)

    @property
    def quiet_s(self) -> float:
        """How long ago the last request must have ended when this worker leaves."""
        return self._lease.quiet_s if self._lease else 0.0

    @property
    def tasks(self) -> list[Callable[[], None]]:
        """What is to be done every second: life is shown before the lock is read."""
        renewed = [self._lease.renew] if self._lease else []
        return [*renewed, self._hold.poll] if self._hold else renewed

    def release(self) -> None:
        """Show that this worker has no request any longer.

        Raises:
            OSError: the store did not take it; the others will take this worker for lost.
        """
        if self._hold:
            self._hold.release()
        if self._lease:
            self._lease.release()
        if self._heartbeat:
            self._heartbeat.stop()

    def throttle(self, rate: RateSettings, open_limiter: OpenLimiter | None = None) -> Throttle:
        """A throttle whose permissions are asked of the run's lock, and of the rate limit service, if there is one."""
        asked = [self._hold.confirm] if self._hold else []
        if rate.rate_service and open_limiter:
            asked.append(asker(rate.rate_service, open_limiter))

        def ask() -> None:
            for confirm in asked:
                confirm()

        return Throttle(rate.max_requests_per_second, boottime_s, shares=self._lease, ask=ask)


def _nothing() -> None:
    """A lease shows life by itself."""
