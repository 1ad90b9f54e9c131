"""A watch with both ends in a bucket: objects as they are put, a new version again, killed and gone on with."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.engines import install
from tests.pipeline import cli
from tests.servers import CardServer
from tests.stores.conftest import Bucket
from tests.stores.marks import on_s3
from tests.stores.runs import Ends, answer_by_content, new_ends, wait

pytestmark = [pytest.mark.slow, on_s3]


@pytest.fixture
def ends(bucket: Bucket) -> Ends:
    return new_ends(bucket)


def requests_of(ends: Ends, *outcomes: str) -> int:
    """Requests of some fates, over all runs."""
    return sum(receipt["requests"][outcome] for receipt in ends.receipts() for outcome in outcomes)


def test_objects_as_they_are_put(ends: Ends, draw: Callable[..., bytes]) -> None:
    try:
        prism = f"--prism_location={install.prism()}"
    except install.NotInstalled as error:
        pytest.skip(str(error))
    images = {f"{number:03}.jpg": draw(number) for number in range(20)}
    with CardServer(answer_by_content()) as server:
        given = [*ends.arguments(server), prism, "--poll_interval_s=1", "--publish_interval_s=2"]
        ends.put(images)
        child = cli.start("watch", *given)
        wait(lambda: len(server.calls) >= 10)
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        child = cli.start("watch", *given)
        wait(lambda: requests_of(ends, "succeeded") == 20)  # a version that is gone is not sent
        ends.put({"000.jpg": draw(100), "copy-of-001.jpg": draw(1)})
        wait(lambda: requests_of(ends, "succeeded", "duplicates", "skipped") == 22)
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    killed, receipt = ends.receipts()
    assert [(one["status"], one["reconciled"]) for one in (killed, receipt)] == [
        ("interrupted", True),
        ("complete", True),
    ]
    assert [requests_of(ends, outcome) for outcome in ("succeeded", "dead_lettered")] == [21, 0]
    assert requests_of(ends, "duplicates", "skipped") == 1  # of an answer of either run
    assert len({row["id"] for row in ends.rows("documents/type=passport")}) == 21
    assert len(ends.rows("documents/type=passport")) == 21
    assert server.calls.total() - len(server.calls) <= 20, "what was answered within the last flush may be paid again"
    assert ends.paths("journal") == []
    assert "passport" in out
