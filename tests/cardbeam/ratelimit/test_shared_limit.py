"""Workers of several outputs that name one folder keep one limit together; another limit is refused there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from cardbeam.calls.worker_liveness import Liveness
from cardbeam.config.settings import RateSettings
from cardbeam.ratelimit.lease import Lease
from cardbeam.ratelimit.membership import CLEARED_AFTER_S
from cardbeam.ratelimit.shared_limit import LIMIT_FILE, OtherLimit, agree_on_limit
from cardbeam.ratelimit.throttle import Quota
from cardbeam.run_state.liveness.worker_heartbeat import list_heartbeats
from cardbeam.run_state.stop_signal import StopSignal
from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from tests.cardbeam.ratelimit.lease_simulation import LateFolder, World
from tests.servers import Answer, CardServer, success
from tests.wire import Received


def _worker(tmp_path: Path, output: str, rate: RateSettings, *, is_alone: bool = True) -> Liveness:
    folder = LocalFolder(str(tmp_path / output))
    return Liveness(folder, "r1", rate, StopSignal(folder, "r1"), is_alone=is_alone)


def _renewed_until(workers: list[Liveness], is_so: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 60.0
    while not is_so():
        assert time.monotonic() < until_s
        for worker in workers:
            for task in worker.tasks:
                task()
        time.sleep(0.5)


def test_workers_of_two_outputs_share_the_limit(tmp_path: Path) -> None:
    """Each takes half of the slots, also where it is its run's only worker; what one leaves, the other takes."""
    rate = RateSettings(max_requests_per_second=11, rate_uri=str(tmp_path / "rate"))
    workers = [_worker(tmp_path, output, rate) for output in ("a", "b")]
    throttles = [worker.throttle(rate) for worker in workers]
    shares: list[list[float]] = []

    def have_begun() -> bool:
        shares.append([throttle.rate_per_s() for throttle in throttles])
        return min(shares[-1]) > 1  # before, as if it had one

    _renewed_until(workers, have_begun)
    assert sorted(shares[-1]) == pytest.approx([5, 6], rel=0.03)
    assert max(map(sum, shares)) <= 11
    workers[0].release()
    _renewed_until(workers[1:], lambda: throttles[1].rate_per_s() == pytest.approx(11, rel=0.03))
    workers[1].release()
    assert [path.name for path in (tmp_path / "rate").rglob("*") if path.is_file()] == [LIMIT_FILE]


def test_a_worker_beside_others_shows_life_in_its_run_too(tmp_path: Path) -> None:
    """A launch that waits for an output's workers looks there alone."""
    worker = _worker(tmp_path, "a", RateSettings(rate_uri=str(tmp_path / "rate")), is_alone=False)
    for task in worker.tasks:
        task()
    files = [path.split("/")[2] for path in list_heartbeats(LocalFolder(str(tmp_path / "a")))]
    leases = list((tmp_path / "rate" / "leases").iterdir())
    assert (files, len(leases)) == (["heartbeats"], 1)
    worker.release()
    assert list_heartbeats(LocalFolder(str(tmp_path / "a"))) == []


def test_the_lease_of_a_lost_worker_is_removed_after_a_minute() -> None:
    """No sooner; those of the living stay."""
    world = World(Random(3))
    lost = "leases/b1-000000001.lease"
    world.objects[lost] = (-1.0, math.inf)
    folder = LateFolder(world, lambda: world.now_s, 0.0)
    lease = Lease(folder, "leases", Quota(10, 1.0), "a1", lambda: world.now_s, clears_lost=True)
    other = Lease(folder, "leases", Quota(10, 1.0), "c1", lambda: world.now_s)
    while world.objects[lost][1] == math.inf:
        lease.renew()
        other.renew()
        world.now_s += 1.0
    assert CLEARED_AFTER_S <= world.objects[lost][1] <= CLEARED_AFTER_S + 3
    assert (lease.slots(world.now_s), other.slots(world.now_s)) == (5, 5)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"max_requests_per_second": "many"}'])
def test_what_says_no_limit_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / LIMIT_FILE).write_bytes(content)
    with pytest.raises(OtherLimit) as error:
        agree_on_limit(LocalFolder(str(tmp_path)), 10)
    assert str(error.value) == (
        f"{tmp_path}/{LIMIT_FILE} holds no limit: end all runs that share --rate_uri, then delete it"
    )


@pytest.mark.usefixtures("credentials")
def test_runs(tmp_path: Path, draw: Callable[..., bytes], capsys: pytest.CaptureFixture[str]) -> None:
    """Runs of the same limit go on, one of another limit makes no call, and says how to change it."""
    (tmp_path / "a.jpg").write_bytes(draw(1))

    def answer(got: Received) -> Answer:
        return success(("passport", {"id": "1"}))

    with CardServer(answer) as server:
        to = ["backfill", f"--input={tmp_path}/*.jpg", f"--endpoint_url={server.base_url}"]
        shared = f"--rate_uri={tmp_path}/rate"
        first = main([*to, shared, f"--output={tmp_path}/first", "--max_requests_per_second=20"])
        other = main([*to, shared, f"--output={tmp_path}/other", "--max_requests_per_second=30"])
        assert (first, other, len(server.received)) == (0, 2, 1)
    assert (
        "--rate_uri is for 20 requests a second, and --max_requests_per_second is 30: give the same; to change it, end "
        f"all runs that share the folder, then delete {tmp_path}/rate/{LIMIT_FILE}"
    ) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rate", "problem"),
    [
        (
            RateSettings(rate_uri="rate"),
            "--rate_uri is 'rate', expected HOST:PORT/DOMAIN/KEY=VALUE, or a folder: an absolute path or a URI of a "
            "bucket",
        ),
        (RateSettings(rate_uri="s3:///rate"), "--rate_uri s3:///rate names no bucket, expected s3://BUCKET/…"),
        (
            RateSettings(rate_uri="/rate", max_requests_per_second=0),
            "--rate_uri names a folder to share a limit, and --max_requests_per_second is 0: there is none",
        ),
    ],
)
def test_what_cannot_be_shared(rate: RateSettings, problem: str) -> None:
    assert list(rate.validate()) == [problem]
