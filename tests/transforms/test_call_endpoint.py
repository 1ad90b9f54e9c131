"""Bundles of calls, as a runner runs them and runs them again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.shared import Shared

from tests.parts import read_part
from tests.servers import CardServer, success
from tests.transforms.bundles import groups_of, run_bundle, settings_of
from transforms.answered import SharedAnswered
from transforms.call_endpoint import _SettleFn
from transforms.elements import Fate
from transforms.plan_parts import plan_parts
from transforms.storage import open_folder
from transforms.worker import Session


@pytest.mark.usefixtures("credentials")
def test_a_bundle_that_runs_again(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A bundle run again, in its process or in another, pays for nothing and makes no row twice."""
    groups = groups_of(tmp_path, draw, 20)
    with CardServer(lambda got: success(("passport", {"id": got.key[:12]}))) as server:
        settings = settings_of(server, tmp_path / "out")
        session = Session.of(PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"]))
        first, other = (_SettleFn(settings, session, SharedAnswered(settings), Shared()) for _ in range(2))
        first.setup()
        attempts = [run_bundle(first, groups[:12]), run_bundle(first, groups)]
        other.setup()
        attempts.append(run_bundle(other, groups))
    assert [[ending.fate for ending in endings] for endings in attempts] == [
        [Fate.ANSWERED] * 12,
        [Fate.ANSWERED] * 20,
        [Fate.ANSWERED] * 20,
    ]
    assert (len(server.calls), set(server.calls.values())) == (20, {1})
    folder = open_folder(settings.output.output)
    ids = [
        item_id
        for part in plan_parts(folder, "night")
        for item_id in read_part(folder, part)[0]["documents/type=passport"]["item_id"].to_pylist()
    ]
    assert (len(ids), len(set(ids))) == (20, 20)
