"""The job of a run whose launching process did not wait for it: who reads the output learns of it here."""

from __future__ import annotations

from dataclasses import dataclass

from cardbeam.run_state.layout import run_file
from cardbeam.run_state.receipt import read_receipt
from cardbeam.run_state.stop_signal import STOP_FILE, read_stop
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import read_state, write_state

JOB_FILE = "job.json"


@dataclass(frozen=True, slots=True)
class DetachedJob:
    """A job on a cluster, by the name that its runner gave it."""

    job_id: str
    runner: str


def write_job(folder: Folder, run_id: str, job: DetachedJob) -> None:
    """Write down that the run is this job's to end."""
    write_state(folder, run_file(run_id, JOB_FILE), job)


def running_job(folder: Folder, run_id: str) -> DetachedJob | None:
    """The job of a run without a receipt; None where it was launched by a process that waits, or was told to stop.

    Raises:
        DamagedFile: a file about the run is damaged.
    """
    job = read_state(folder, run_file(run_id, JOB_FILE), DetachedJob)
    if job is None or read_stop(folder, run_file(run_id, STOP_FILE)) is not None:
        return None
    receipt = read_receipt(folder, run_id)
    return None if receipt is not None and receipt.has_ended else job
