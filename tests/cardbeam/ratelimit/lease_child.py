"""A worker that takes every permission and writes down when it left: `… lease_child FOLDER RATE FILE`."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

from cardbeam.ratelimit.background_tasks import BackgroundTasks
from cardbeam.ratelimit.lease import RENEW_S, Lease
from cardbeam.ratelimit.throttle import Quota, Throttle
from cardbeam.run_state.liveness.run_lock import boottime_s
from cardbeam.storage.folder import LocalFolder


class Clock:
    """The clock of the throttle, and what it showed last: when a permission left, once it has."""

    last_s = 0.0

    def __call__(self) -> float:
        self.last_s = boottime_s()
        return self.last_s


def main(folder: str, rate_per_s: float, path: str) -> None:
    lease = Lease(LocalFolder(folder), "runs/run/leases", Quota.of(rate_per_s), uuid.uuid4().hex, boottime_s)
    clock = Clock()
    throttle = Throttle(rate_per_s, clock, shares=lease)
    with BackgroundTasks([lease.renew], lease.release, RENEW_S), Path(path).open("w") as file:
        while True:
            throttle.wait().release()
            file.write(f"{clock.last_s}\n")
            file.flush()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
