"""Bundles of calls, as a runner runs them and runs them again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.shared import Shared

from cardbeam.calls.worker import Session
from cardbeam.inputs.image_source import describe
from cardbeam.model.grouping import group_key
from cardbeam.model.request import Request
from cardbeam.model.request_codec import pack
from cardbeam.model.result import RequestOutcome, RequestResult
from cardbeam.run_state.group_log import GROUPS
from cardbeam.run_state.layout import run_file
from cardbeam.storage.folder import TEMPORARY_SUFFIX, LocalFolder, open_folder
from cardbeam.tables.parts.part_plan import plan_parts
from tests.parts import read_part
from tests.records import stored_records
from tests.servers import Answer, CardServer, failure, success
from tests.transforms.bundles import groups_of, run_bundle, settings_of
from tests.wire import Received, key_of
from transforms.call_endpoint import _ProcessFn, session_of
from transforms.shared_index import SharedIndex


@pytest.mark.usefixtures("credentials")
def test_a_bundle_that_runs_again(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A bundle run again, in its process or in another, pays for nothing and makes no row twice."""
    groups = groups_of(tmp_path, draw, 20)
    with CardServer(lambda got: success(("passport", {"id": got.key[:12]}))) as server:
        settings = settings_of(server, tmp_path / "out")
        session = session_of(PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"]))
        first, other = (_ProcessFn(settings, session, SharedIndex(settings), Shared()) for _ in range(2))
        first.setup()
        attempts = [run_bundle(first, groups[:12]), run_bundle(first, groups)]
        other.setup()
        attempts.append(run_bundle(other, groups))
    assert [[result.outcome for result in results] for results in attempts] == [
        [RequestOutcome.SUCCEEDED] * 12,
        [RequestOutcome.SUCCEEDED] * 20,
        [RequestOutcome.SUCCEEDED] * 20,
    ]
    assert (len(server.calls), set(server.calls.values())) == (20, {1})
    folder = open_folder(settings.output.output)
    ids = [
        item_id
        for part in plan_parts(folder, "night")
        for item_id in read_part(folder, part)[0]["documents/type=passport"]["item_id"].to_pylist()
    ]
    assert (len(ids), len(set(ids))) == (20, 20)


@pytest.mark.usefixtures("credentials")
def test_a_bundle_that_runs_again_on_another_living_worker(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """It makes no call and no record, whatever came of its images: answers, failures of each kind, duplicates."""
    groups = groups_of(tmp_path, draw, 8)
    for number in (3, 4, 5):
        request = Request("ekyc/card", (describe(str(tmp_path / f"{number}.jpg")),))
        labelled = [replace(request, labels=(("customer", customer),)) for customer in "67"]
        groups[number] = (str(number), [pack(labelled)])
    bad = {key_of(draw(4)): failure("3"), key_of(draw(5)): Answer(status=500)}
    with CardServer(lambda got: bad.get(got.key, success(("passport", {"id": got.key[:12]})))) as server:
        settings = settings_of(server, tmp_path / "out")
        settings = replace(settings, endpoint=replace(settings.endpoint, max_attempts=1))
        workers = [_ProcessFn(settings, Session("s", False), SharedIndex(settings), Shared()) for _ in range(3)]
        for worker in workers:
            worker.setup()
        first = run_bundle(workers[0], groups)
        calls, records = dict(server.calls), len(stored_records(LocalFolder(settings.output.output)))
        again = [run_bundle(worker, part) for worker, part in ((workers[1], groups), (workers[2], groups[3:]))]
        assert dict(server.calls) == calls, [one.outcome for one in first]
    assert len(stored_records(LocalFolder(settings.output.output))) == records == 11
    outcomes = [Counter(one.outcome for one in results) for results in (first, *again)]
    all_of_them = {RequestOutcome.SUCCEEDED: 6, RequestOutcome.DEAD_LETTERED: 2, RequestOutcome.DUPLICATE: 3}
    assert outcomes == [all_of_them, all_of_them, {**all_of_them, RequestOutcome.SUCCEEDED: 3}]


@pytest.mark.usefixtures("credentials")
def test_a_worker_whose_bundle_was_given_up_goes_on(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """What it has in flight is waited for; both go through the same groups, and each image is sent once."""
    groups, released, begun = groups_of(tmp_path, draw, 8), Event(), Event()

    def answer(got: Received) -> Answer:
        begun.set()
        assert released.wait(60)
        return success(("passport", {"id": got.key[:12]}))

    with CardServer(answer) as server, ThreadPoolExecutor(2) as runner:
        settings = settings_of(server, tmp_path / "out")
        settings = replace(settings, rate=replace(settings.rate, max_in_flight=2))
        given_up, other = (_ProcessFn(settings, Session("s", False), SharedIndex(settings), Shared()) for _ in range(2))
        for worker in (given_up, other):
            worker.setup()
        first = runner.submit(run_bundle, given_up, groups)
        assert begun.wait(60)
        second = runner.submit(run_bundle, other, groups)
        logs = LocalFolder(settings.output.output)
        while sum(not file.path.endswith(TEMPORARY_SUFFIX) for file in logs.list(run_file("night", GROUPS))) < 2:
            assert not second.done()
        given_up._worker._owners.poll()  # as its thread does every second
        released.set()
        left, done = first.result(60), second.result(60)
        assert (len(server.calls), set(server.calls.values())) == (8, {1})
    assert [one.outcome for one in done] == [RequestOutcome.SUCCEEDED] * 8
    assert _count(left, RequestOutcome.SUCCEEDED) + _count(left, RequestOutcome.DEFERRED) == 8


def _count(results: list[RequestResult], outcome: RequestOutcome) -> int:
    return sum(one.outcome is outcome for one in results)


@pytest.mark.usefixtures("credentials")
def test_a_bundle_of_a_watch_that_runs_again_elsewhere(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A worker of a watch that has met a batch already learns what another one processed of it since."""
    groups = [(group_key("1.a", name), packs) for name, packs in groups_of(tmp_path, draw, 6)]
    with CardServer(lambda got: success(("passport", {"id": got.key[:12]}))) as server:
        settings = settings_of(server, tmp_path / "out")
        session = Session("s", False, watches=True)
        first, other = (_ProcessFn(settings, session, SharedIndex(settings), Shared()) for _ in range(2))
        for worker in (first, other):
            worker.setup()
        run_bundle(other, groups[:2])
        run_bundle(first, groups[2:])
        run_bundle(other, groups[2:])
        assert (len(server.calls), set(server.calls.values())) == (6, {1})
