"""One run at a time writes to an output: a second is refused, a dead owner is followed, a lost claim ends the loser."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipeline import claim
from pipeline.claim import CLAIM_FILE, await_workers, claimed, refuse_living_workers
from pipeline.exit import UsageError
from transforms.leases import DEAD_AFTER_S, LEASES
from transforms.storage import Folder, LocalFolder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return LocalFolder(str(tmp_path))


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder that is claimed as a bucket is, with beats a hundred times as fast."""
    monkeypatch.setattr(claim, "BEAT_S", 0.05)
    return LocalFolder(str(tmp_path), is_local=False)


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_second_run_is_refused_and_told_who_has_it(kind: str, request: pytest.FixtureRequest) -> None:
    output: Folder = request.getfixturevalue(kind)
    with (
        claimed(output, "r1"),
        pytest.raises(UsageError, match=r"run r1 is under way over this --output, in process \d+"),
        claimed(output, "r2"),
    ):
        pass
    with claimed(output, "r3"):
        pass


def test_a_claim_without_a_beat_is_taken_over(bucket: Folder) -> None:
    bucket.create(CLAIM_FILE, claim._content("r1", "of a dead process"))
    with claimed(bucket, "r2"):
        assert b'"r2"' in bucket.read(CLAIM_FILE)
    assert list(bucket.list(CLAIM_FILE)) == []


def test_a_claim_that_is_given_back_meanwhile_is_free(bucket: Folder) -> None:
    """A run that begins as another ends waits for its next beat, sees that it is gone, and takes its place."""
    bucket.create(CLAIM_FILE, claim._content("r1", "of who is about to end"))
    waits = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        bucket.delete([CLAIM_FILE])

    claim._take(bucket, "r2", "ours", sleep)
    assert (len(waits), bucket.read(CLAIM_FILE)) == (1, claim._content("r2", "ours"))


def test_who_loses_the_claim_is_told_and_leaves_it_to_the_other(bucket: Folder) -> None:
    lost = threading.Event()
    theirs = claim._content("r1", "of the other")
    with claimed(bucket, "r1", when_lost=lost.set):
        for _ in range(100):  # a beat that had looked before writes over what the other wrote, which beats too
            bucket.write(CLAIM_FILE, theirs)
            if lost.wait(0.1):
                break
        assert lost.is_set()
    assert bucket.read(CLAIM_FILE) == theirs


@pytest.mark.parametrize("is_renewed", [True, False])
def test_workers_of_an_earlier_launch_are_let_be_while_they_renew_their_leases(
    folder: Folder, is_renewed: bool
) -> None:
    folder.write(f"runs/r1/{LEASES}/ab-000000007.lease", b"")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if is_renewed:
            folder.write(f"runs/r1/{LEASES}/ab-{7 + len(waits):09d}.lease", b"")

    if is_renewed:
        with pytest.raises(UsageError, match="workers of an earlier launch still call"):
            refuse_living_workers(folder, sleep)
        assert 10 < sum(waits) < 20  # those of a cancelled job would have ended by then
    else:
        refuse_living_workers(folder, sleep)
        assert list(folder.list("runs")) == []


def test_workers_that_were_told_to_stop_are_waited_for(folder: Folder) -> None:
    """One renews its lease twice more, and is killed; another gives its own back."""
    folder.write(f"runs/r1/{LEASES}/ab-000000007.lease", b"")
    folder.write(f"runs/r1/{LEASES}/cd-000000001.lease", b"")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) <= 2:
            folder.write(f"runs/r1/{LEASES}/ab-00000000{7 + len(waits)}.lease", b"")
        folder.delete([f"runs/r1/{LEASES}/cd-000000001.lease"])

    assert await_workers(folder, 60.0, sleep)
    assert waits == [DEAD_AFTER_S] * 3
    assert list(folder.list("runs")) == []


def test_no_lease_is_no_wait(folder: Folder) -> None:
    def sleep(_: float) -> None:
        raise AssertionError("waited")

    refuse_living_workers(folder, sleep)
