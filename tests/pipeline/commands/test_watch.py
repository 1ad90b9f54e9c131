"""A watch sets its runner up for a stream without end."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import DebugOptions, StandardOptions

from cardbeam.config.settings import InputSettings
from pipeline.cli.exit_codes import UsageError
from pipeline.cli.options import BUFFER_LIMIT, parse
from pipeline.commands.watch import _set_up


def test_no_experiment_of_ours_leaves_threads_behind() -> None:
    """A user's own experiments stay, also one of the same name; ours, which Beam's Java runners leak of, is gone."""
    own = ["--experiments=use_x", "--experiments=data_buffer_time_limit_ms=7"]
    _, options = parse("watch", "", ["--input=/in", "--runner=FlinkRunner", *own], InputSettings)
    given = options.view_as(DebugOptions).experiments
    _set_up(options)
    left = options.view_as(DebugOptions).experiments
    assert (BUFFER_LIMIT in given, left) == (True, [one for one in given if one != BUFFER_LIMIT])
    assert {"use_x", "data_buffer_time_limit_ms=7"} <= set(left)
    assert options.view_as(StandardOptions).streaming is True


@pytest.mark.parametrize("runner", ["FnApiRunner", "DirectRunner", "BundleBasedDirectRunner"])
def test_a_runner_that_runs_each_stage_to_its_end_cannot_watch(runner: str) -> None:
    """It would list for ever, and make no call."""
    _, options = parse("watch", "", ["--input=/in", f"--runner={runner}"], InputSettings)
    with pytest.raises(UsageError, match=f"--runner {runner} runs each stage to its end"):
        _set_up(options)
