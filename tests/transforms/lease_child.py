"""A worker that takes every permission and prints when: `python -m tests.transforms.lease_child FOLDER RATE`."""

from __future__ import annotations

import sys
import time
import uuid

from transforms.leases import RENEW_S, Lease
from transforms.presence import Presence
from transforms.storage import LocalFolder
from transforms.throttle import Quota, Throttle


def main(folder: str, rate_per_s: float) -> None:
    lease = Lease(LocalFolder(folder), "run", Quota.of(rate_per_s), uuid.uuid4().hex, time.monotonic)
    throttle = Throttle(rate_per_s, shares=lease)
    with Presence([lease.renew], lease.leave, RENEW_S):
        while True:
            throttle.wait().leave()
            print(time.monotonic(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
