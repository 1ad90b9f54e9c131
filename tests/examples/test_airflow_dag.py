"""Airflow parses the example, and each exit status becomes success, a retry or a failure for good."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "airflow_dag.py"

airflow = pytest.importorskip("airflow.sdk")


def _dag() -> dict[str, object]:
    found: dict[str, object] = {"__name__": "example"}
    exec(compile(EXAMPLE.read_text(), EXAMPLE, "exec"), found)
    return found


def test_parsed() -> None:
    """The DAG has its three tasks in their order."""
    dag = _dag()["dag"]
    assert {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks} == {
        "backfill": ["register", "report"],
        "register": [],
        "report": [],
    }


@pytest.mark.parametrize(
    ("status", "raised"),
    [(0, None), (2, "AirflowFailException"), (3, "AirflowException"), (4, "AirflowException"),
     (5, "AirflowFailException"), (6, "AirflowFailException"), (143, "AirflowException")],
)  # fmt: skip
def test_exit_status(status: int, raised: str | None) -> None:
    """0 is success, 3, 4 and 143 (told to end) are tried again, 2, 5 and 6 are not."""
    found = _dag()
    found["_RUN"] = sys.executable
    try:
        found["run"]("-c", f"raise SystemExit({status})")
        got = None
    except Exception as error:
        got = type(error).__name__
    assert got == raised
