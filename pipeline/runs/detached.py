"""Runs whose launching process did not wait: no other run begins before they have ended."""

from __future__ import annotations

from cardbeam.run_state.detached_job import JOB_FILE, running_job
from cardbeam.run_state.layout import RUNS
from cardbeam.storage.folder import Folder
from pipeline.cli.exit_codes import UsageError


def refuse_detached_jobs(folder: Folder) -> None:
    """See whether a run that nobody waits for goes on.

    Raises:
        UsageError: one does.
        DamagedFile: a file about a run is damaged.
    """
    found = (file.path.split("/") for file in folder.list(RUNS))
    for run_id in sorted(path[1] for path in found if path[2:] == [JOB_FILE]):
        if (job := running_job(folder, run_id)) is not None:
            raise UsageError(
                f"run {run_id} is in progress: job {job.job_id} of {job.runner}, launched with --no_wait. Wait for it "
                f"to finish; if its job has failed or was cancelled, give runs --stop={run_id} first"
            )
