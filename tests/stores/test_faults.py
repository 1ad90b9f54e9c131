"""Whichever request to the store fails, once or for good, a run ends with all its rows or stops clearly and resumes."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cardbeam.storage.environment import RETRY_S_VARIABLE
from cardbeam.storage.folder import open_folder
from pipeline.__main__ import main
from tests.servers import CardServer
from tests.stores.conftest import Bucket
from tests.stores.proxy import InjectedFault, StoreRequest
from tests.stores.runs import Ends, answer_by_content, ids_of, new_ends
from tests.stores.servers import KINDS

WALKS_ALL = "CARDBEAM_WALK_ALL" in os.environ
"""With it all three stores are walked, and every request of a run. Without it one store, and of the requests that one
line of code makes (for images, for empty tables, …) the first: the others differ from it by their key alone."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("running", KINDS if WALKS_ALL else ["s3"], indirect=True),
]

IMAGES = 50
FAULTS = (
    InjectedFault.SLOW_DOWN,
    InjectedFault.RESET,
    InjectedFault.INTERNAL,
    InjectedFault.LOST_RESPONSE,
    InjectedFault.TRUNCATED,
)
FAULTS_FOR_GOOD = FAULTS[:3]
Target = tuple[str, str]


_VARYING = re.compile(r"[0-9a-f]{32}|type=[^/]*|\d{5}\.jpg|\d{8}T\d{6}Z|-\d{6}(?=\.)")


class Walk:
    """Breaks one target of a run for good, or each target once; a target is a kind of request and its key."""

    def __init__(self, fault: Callable[[Target, int, int], InjectedFault | None]) -> None:
        self.targets: dict[Target, int] = {}
        self._fault, self._lock = fault, threading.Lock()

    def __call__(self, request: StoreRequest) -> InjectedFault | None:
        target = (request.kind, request.key)
        with self._lock:
            self.targets[target] = self.targets.get(target, 0) + 1
            return self._fault(target, list(self.targets).index(target), self.targets[target])


def _nth(number: int, fault: InjectedFault) -> Walk:
    return Walk(lambda target, index, times: fault if index == number else None)


@pytest.fixture
def contents(draw: Callable[..., bytes]) -> dict[str, bytes]:
    return {f"{number:05}.jpg": draw(number) for number in range(IMAGES)}


@pytest.fixture
def server() -> Iterator[CardServer]:
    with CardServer(answer_by_content(), keeps_content=False) as server:
        yield server


@pytest.fixture
def backfill(
    bucket: Bucket, server: CardServer, monkeypatch: pytest.MonkeyPatch, credentials: object
) -> Callable[[Ends], int]:
    monkeypatch.setenv(RETRY_S_VARIABLE, "0.6")

    def run(ends: Ends) -> int:
        try:
            return main(["backfill", *ends.arguments(server)])
        except OSError as error:  # what `__main__` leaves to the interpreter must say what it is about
            raise AssertionError(f"not caught: {error}") from error

    return run


def _elsewhere(ends: Ends, name: str) -> Ends:
    return Ends(ends.images, open_folder(f"{ends.output.root}-{name}"))


def _ids(ends: Ends) -> list[str]:
    return sorted(row["id"] for row in ends.rows("documents/type=passport"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_request_fails_once(
    bucket: Bucket,
    backfill: Callable[[Ends], int],
    server: CardServer,
    contents: dict[str, bytes],
    fault: InjectedFault,
):
    ends = new_ends(bucket)
    ends.put(contents)
    walk = Walk(lambda target, index, times: fault if times == 1 else None)
    bucket.proxy.reset(walk)
    assert backfill(ends) == 0
    bucket.proxy.reset()
    assert _ids(ends) == sorted(ids_of(contents))
    assert set(server.calls.values()) == {1}
    assert ends.paths("journal", "runs/lock.json") == []
    has_body = [times for (kind, key), times in walk.targets.items() if kind == "get" and "/in/" in key]
    assert min(has_body if fault is InjectedFault.TRUNCATED else walk.targets.values()) > 1


@pytest.mark.nightly
def test_each_request_fails_for_good(
    bucket: Bucket,
    backfill: Callable[[Ends], int],
    server: CardServer,
    contents: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
):
    first = new_ends(bucket)
    first.put(contents)
    clean = Walk(lambda target, index, times: None)
    bucket.proxy.reset(clean)
    assert backfill(first) == 0
    ended, paid_twice, walked = dict[int, int](), 0, set[Target]()
    for number, (kind, key) in enumerate(clean.targets):
        if (target := (kind, _VARYING.sub("*", key))) in walked and not WALKS_ALL:
            continue
        walked.add(target)
        walk = _nth(number, FAULTS_FOR_GOOD[number % 3])
        ends = _elsewhere(first, str(number))
        server.calls.clear()
        bucket.proxy.reset(walk)
        capsys.readouterr()
        status = backfill(ends)
        text = capsys.readouterr()
        bucket.proxy.reset()
        ended[status] = ended.get(status, 0) + 1
        broken = list(walk.targets)[number] if number < len(walk.targets) else None
        dead = len(ends.rows("dead_letters"))
        if status == 0:
            assert len(_ids(ends)) + dead == IMAGES, broken
        else:
            assert status in (2, 4), broken
            assert f"{bucket.scheme}://" in text.err, (broken, text.err)
        assert "Traceback" not in text.err, broken
        assert (status == 0 and not dead) or backfill(ends) == 0, broken
        assert _ids(ends) == sorted(ids_of(contents)), broken
        paid_twice += sum(server.calls.values()) - IMAGES
    with capsys.disabled():
        print(f"\n{sum(ended.values())} requests failed for good: exit status {ended}; {paid_twice} calls paid twice")


def test_a_store_that_says_nothing_is_given_up(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(RETRY_S_VARIABLE, "1")
    folder = new_ends(bucket).output
    folder.write("file", b"x")
    bucket.proxy.reset(lambda request: InjectedFault.SILENCE)
    uses = (lambda: folder.read("file"), lambda: folder.write("file", b"y"), lambda: list(folder.list("")))
    with ThreadPoolExecutor(len(uses)) as pool:
        for ending in [pool.submit(use) for use in uses]:
            error = ending.exception(timeout=60)
            assert isinstance(error, OSError), error
            assert folder.root in str(error)
