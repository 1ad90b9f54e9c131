"""Bundles of calls, as a runner runs them and runs them again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp

from tests.servers import CardServer, success
from transforms.answered import SharedAnswered
from transforms.call_endpoint import _SettleFn
from transforms.elements import Ending, Fate, Request
from transforms.packed import pack
from transforms.plan_parts import plan_parts
from transforms.read_answers import read_part
from transforms.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from transforms.sources import describe
from transforms.storage import open_folder
from transforms.worker import Session

Groups = list[tuple[str, list[bytes]]]


def _run_bundle(fn: _SettleFn, groups: Groups) -> list[Ending]:
    """One bundle from its start to its end; what it gives is what the runner would commit."""
    fn.start_bundle()
    ended = [one for group in groups for one in fn.process(group, timestamp=Timestamp(0), window=GlobalWindow())]
    return [one.value for one in [*ended, *fn.finish_bundle()]]


@pytest.mark.usefixtures("credentials")
def test_a_bundle_that_runs_again(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A bundle run again, in its process or in another, pays for nothing and makes no row twice."""
    groups: Groups = []
    for number in range(20):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(draw(number))
        groups.append((str(number), [pack([Request("ekyc/card", (describe(str(path)),))])]))
    with CardServer(lambda got: success(("passport", {"id": got.key[:12]}))) as server:
        settings = Settings(
            InputSettings(),
            EndpointSettings(endpoint_url=server.base_url),
            RateSettings(max_requests_per_second=0),
            OutputSettings(str(tmp_path / "out"), "night"),
        )
        session = Session.of(PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"]))
        first, other = (_SettleFn(settings, session, SharedAnswered(settings), Shared()) for _ in range(2))
        first.setup()
        attempts = [_run_bundle(first, groups[:12]), _run_bundle(first, groups)]
        other.setup()
        attempts.append(_run_bundle(other, groups))
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
