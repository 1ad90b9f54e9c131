"""A run in Airflow: backfill, then the report and the Iceberg tables; exit statuses decide what is tried again."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

_RUN = "/opt/cardbeam/run.sh"
_OUTPUT = "s3://tables/cards"
_NEEDS_A_HUMAN = {2: "bad usage, or inputs that cannot be listed", 5: "credentials refused", 6: "a check failed"}


def run(*arguments: str, **environment: str) -> None:
    """Run a command: 0 is success, 3 (quota) and 4 (failed) are tried again and process what is left, 2, 5 and 6 are
    not."""
    status = subprocess.run([_RUN, *arguments], env={**os.environ, **environment}, check=False).returncode
    if status in _NEEDS_A_HUMAN:
        raise AirflowFailException(f"{arguments[0]}: {_NEEDS_A_HUMAN[status]}")
    if status:
        raise AirflowException(f"{arguments[0]} ended with {status}; the next try processes what is left")


with DAG(
    dag_id="cardbeam_nightly",
    schedule="0 1 * * *",
    start_date=datetime(2026, 11, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
) as dag:

    @task(retries=6, retry_delay=timedelta(minutes=30))
    def backfill(ds_nodash: str | None = None) -> None:
        """Credentials come from the worker's environment, as CARD_API_KEY and CARD_API_SECRET."""
        assert ds_nodash is not None, "Airflow gives it"
        images = f"--input=s3://photos/{ds_nodash[:4]}/{ds_nodash[4:6]}/**/*.jpg"
        run("backfill", images, f"--output={_OUTPUT}", "--max_requests_per_second=50")

    @task(trigger_rule="all_done")
    def report() -> None:
        """Of a run that did not come to its end too."""
        run("report", f"--output={_OUTPUT}")

    @task
    def register() -> None:
        """For the readers of Iceberg tables."""
        run("publish", f"--output={_OUTPUT}", "--catalog=cards")

    backfill() >> [report(), register()]
