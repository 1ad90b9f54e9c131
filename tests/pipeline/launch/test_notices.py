"""Notices of a run reach a webhook in order, also one that fails at first; one that never answers fails nothing."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from cardbeam.config.settings import RateSettings
from cardbeam.storage.folder import LocalFolder
from pipeline.launch.notices import Notices, opened_notices
from pipeline.runs.display.status import Status
from pipeline.runs.registry import Run
from tests.hook import Hook
from tests.pipeline.nights import FIRST, ledger_record, write_run

RUN = Run(FIRST, "backfill", "2026-11-21T01:00:00+00:00")


def shown(hook: Hook) -> list[dict[str, object]]:
    """The notices that came, but for their time."""
    assert all(str(one.pop("at")).endswith("+00:00") for one in hook.received)
    return hook.received


def test_a_run_tells_its_start_its_budget_its_checks_and_its_end(tmp_path: Path) -> None:
    receipt = write_run(
        LocalFolder(str(tmp_path)),
        FIRST,
        [ledger_record(FIRST, number, (str(number),), response=b"{}") for number in range(9)],
    )
    receipt = replace(
        receipt, status="complete", checks=[{"name": "own", "status": "failed", "rows": 1, "message": ""}]
    )
    with (
        Hook() as hook,
        opened_notices(hook.url, RUN, "out", RateSettings(max_cost=10, price_per_call=1)) as notices,
    ):
        notices.observe(Status(10, 0, {"succeeded": 7}, 7, 1.0))
        notices.observe(Status(10, 0, {"succeeded": 8}, 8, 1.0))
        notices.observe(Status(10, 0, {"succeeded": 9}, 9, 1.0))
        notices.tell_end(receipt)
        notices.close()
        found = shown(hook)
    about = {"run_id": FIRST, "command": "backfill", "output": "out"}
    assert [one["event"] for one in found] == ["started", "budget", "check_failed", "ended"]
    assert found[0] == {"event": "started", **about, "text": f"cardbeam backfill {FIRST}: started"}
    assert found[1]["text"] == f"cardbeam backfill {FIRST}: 80% of the cost budget is used: 8 of 10"
    assert found[2]["text"] == f"cardbeam backfill {FIRST}: failed checks: own"
    assert (found[3]["status"], found[3]["requests"], found[3]["checks"]) == (
        "complete", receipt.requests, receipt.checks
    )  # fmt: skip


def test_a_notice_is_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    """Until it is taken."""
    with Hook(lambda number: 503 if number < 3 else 200) as hook:
        notices = Notices(hook.url, RUN, "out", RateSettings(), wait_s=0.01)
        notices.tell("started", "started")
        notices.close()
        assert [one["event"] for one in shown(hook)] == 3 * ["started"]
    assert caplog.messages == []


def test_a_webhook_that_is_away_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """One line tells of it, without the URL, which may hold a secret."""
    caplog.set_level(logging.WARNING, "cardbeam")

    def refuse(url: str, notice: object) -> None:
        raise requests.ConnectionError(f"{url} is away")

    notices = Notices("https://hooks.example/T0/secret", RUN, "out", RateSettings(), send=refuse, wait_s=0.0)
    notices.tell("started", "started")
    notices.close()
    assert caplog.messages == ["notice 'started' not delivered to hooks.example: ConnectionError"]


def test_an_interrupted_run_tells_it() -> None:
    with Hook() as hook:
        with pytest.raises(KeyboardInterrupt), opened_notices(hook.url, RUN, "out", RateSettings()):
            raise KeyboardInterrupt
        assert [one["event"] for one in shown(hook)] == ["started", "stopped"]
