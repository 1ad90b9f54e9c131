"""Of all attempts at a job's calls only the last sends, whatever became of the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.shared import Shared

from cardbeam.model.result import RequestOutcome
from cardbeam.run_state.liveness.job_attempt import JobAttempt, begin_attempt
from cardbeam.storage.folder import LocalFolder
from tests.servers import CardServer, success
from tests.transforms.bundles import groups_of, run_bundle, settings_of
from transforms.call_endpoint import _ProcessFn, session_of
from transforms.shared_index import SharedIndex


def test_the_last_attempt_is_the_one(tmp_path: Path) -> None:
    """Each attempt is over once a process has seen a later one; an old answer of the store ends nothing."""
    folder = LocalFolder(str(tmp_path))
    last = JobAttempt(folder, "night")
    last.poll()
    first = begin_attempt(folder, "night", "a")
    seen = [last.is_superseded(first)]
    last.poll()
    seen.append(last.is_superseded(first))
    later = [begin_attempt(folder, "night", f"b{number}") for number in range(12)]
    seen += [last.is_superseded(later[-1]), last.is_superseded(first)]
    last.poll()
    seen += [last.is_superseded(attempt) for attempt in (first, *later, "")]
    assert seen == [False, False, False, False, *[True] * 12, False, False]


def test_a_launch_begins_one_attempt(tmp_path: Path) -> None:
    """However often a runner counts the inputs of a launch, its attempt goes on; another launch begins another."""
    folder = LocalFolder(str(tmp_path))
    last = JobAttempt(folder, "night")
    names = [begin_attempt(folder, "night", launch) for launch in ("a", "a", "b", "b")]
    last.poll()
    assert (names[0], names[2]) == (names[1], names[3])
    assert [last.is_superseded(name) for name in names] == [True, True, False, False]


@pytest.mark.usefixtures("credentials")
def test_a_process_that_outlives_its_attempt(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """It knows what another worker processed meanwhile, calls nothing twice, and leaves what is not its own any
    more."""
    groups = groups_of(tmp_path, draw, 12)
    with CardServer(lambda got: success(("passport", {"id": got.key[:12]}))) as server:
        settings = settings_of(server, tmp_path / "out")
        session = session_of(PipelineOptions(["--runner=FlinkRunner"]))
        folder = LocalFolder(str(tmp_path / "out"))
        survivor, killed = ((SharedIndex(settings), Shared()) for _ in range(2))

        def outcomes_of(process: tuple[SharedIndex, Shared], attempt: str, part: slice) -> list[RequestOutcome]:
            held.append(_ProcessFn(settings, session, *process))
            held[-1].setup()
            return [result.outcome for result in run_bundle(held[-1], groups[part], attempt)]

        held: list[_ProcessFn] = []
        first = begin_attempt(folder, "night", "a")
        outcomes = [outcomes_of(survivor, first, slice(0, 4)), outcomes_of(killed, first, slice(4, 8))]
        second = begin_attempt(folder, "night", "b")
        outcomes.append(outcomes_of(survivor, second, slice(0, 8)))
        held[-1]._worker._attempts.poll()  # as its thread does every second
        outcomes.append(outcomes_of(survivor, first, slice(8, 12)))
        outcomes.append(outcomes_of(survivor, second, slice(8, 12)))
    answered, deferred = [RequestOutcome.SUCCEEDED] * 4, [RequestOutcome.DEFERRED] * 4
    assert outcomes == [answered, answered, answered + answered, deferred, answered]
    assert (len(server.calls), set(server.calls.values())) == (12, {1})
