"""`status` of a watch shows what it waits for and what failed lately; of a killed one that it is failed (exit 4)."""

from __future__ import annotations

import fcntl
import socket
from pathlib import Path

import orjson
import pytest

from cardbeam.model.request import ImageRef, Request
from cardbeam.run_state.liveness.heartbeat import WatchHeartbeat, write_watch_heartbeat
from cardbeam.run_state.liveness.run_lock import LOCK_FILE
from cardbeam.storage.folder import LocalFolder
from cardbeam.watch.pending import PENDING_FILE, PendingRequest, encode
from cardbeam.watch.watch_status import STATUS_FILE
from pipeline.commands import status as status_module
from pipeline.runs.display.watch_lines import watch_lines
from pipeline.runs.registry import Run, begin

RUN = "run-1"
NOW_S = 1_800_000_000.0


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    folder = LocalFolder(str(tmp_path))
    write_watch_heartbeat(folder, RUN, WatchHeartbeat("s", int(NOW_S), is_ending=False))
    return folder


def test_everything_there_is_to_tell(folder: LocalFolder) -> None:
    """Times are relative to now, failures the most frequent first."""
    message = {
        "waiting": 1200,
        "in_flight": 3,
        "unpaired": 2,
        "oldest_at_s": NOW_S - 75,
        "listed_at_s": NOW_S - 4,
        "succeeded_at_s": NOW_S - 130,
        "failing_inputs": ["s3://in/cards"],
        "errors": {"http_503": 4, "timeout": 1},
        "next_retry_at_s": NOW_S + 90,
        "paused_since_s": NOW_S - 120,
    }
    folder.write(f"runs/{RUN}/{STATUS_FILE}", orjson.dumps({"format": 1, **message}))
    assert list(watch_lines(folder, RUN, NOW_S)) == [
        "  watching   new images are processed",
        "  backlog    1,200 waiting, 3 in flight, 2 sides wait for the other; the oldest for 0:01:15",
        "  last       success 0:02:10 ago, listing 0:00:04 ago",
        "  input      cannot be listed: s3://in/cards",
        "  paused     the endpoint has not answered for 0:02:00",
        "  errors     4 http_503, 1 timeout in the last 10 minutes",
        "  retry      next in 0:01:30",
    ]


def test_nothing_to_tell_yet(folder: LocalFolder) -> None:
    """A watch that has just begun, and one that ends or lost its launching process."""
    begun = list(watch_lines(folder, RUN, NOW_S))
    write_watch_heartbeat(folder, RUN, WatchHeartbeat("s", int(NOW_S), is_ending=True))
    ending, *_ = watch_lines(folder, RUN, NOW_S)
    _, frozen, *_ = watch_lines(folder, RUN, NOW_S + 90)
    assert begun == [
        "  watching   new images are processed",
        "  backlog    0 waiting, 0 in flight",
        "  last       success never, listing never",
    ]
    assert ending == "  watching   it finishes the calls in flight, then ends"
    assert frozen == "  heartbeat  none for 0:01:30"


def test_a_run_whose_process_is_gone_is_dead(folder: LocalFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """While its lock is held `status` exits 0; once it is free, 4, and tells how many calls were in flight."""
    begin(folder, Run(RUN, "watch", "2026-11-29T12:00:00+00:00", {}))
    folder.write(LOCK_FILE, orjson.dumps({"run_id": RUN, "host": socket.gethostname()}))
    images = [ImageRef(f"/in/{number}.jpg", 1, "1") for number in range(2)]
    given = [PendingRequest(1, Request("ekyc/card", (image,))) for image in images]
    folder.write(f"runs/{RUN}/{PENDING_FILE}", encode(given))
    asked = [f"--output={folder.root}"]
    with Path(folder.root, LOCK_FILE).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        alive = status_module.main(asked)
    before = capsys.readouterr().out
    failed_record = [status_module.main(asked), status_module.main([*asked, "--watch"])]
    after = capsys.readouterr().out
    assert (alive, failed_record, "DEAD" in before, after.count("up to 2 calls were in flight")) == (
        0,
        [4, 4],
        False,
        2,
    )
