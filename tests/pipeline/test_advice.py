"""What a report says to do about a dead letter agrees with what the next backfill does."""

from __future__ import annotations

import pytest

from pipeline.advice import ADVICE, advice
from schemas.contract import TRANSFERS
from schemas.outcomes import OUTCOMES, Outcome, is_code_of_a_death, outcome_of_error_code, outcome_of_status
from tests.pipeline.cli import ROOT

DEATHS = [
    *(outcome for code, outcome in OUTCOMES.items() if code != "answered"),
    *(outcome_of_error_code("2", transfer) for transfer in TRANSFERS),
    *(outcome_of_status(status) for status in (413, 429, 503)),
]


@pytest.mark.parametrize("death", DEATHS, ids=[f"{one.code}, retriable: {one.retriable}" for one in DEATHS])
def test_nothing_is_to_be_done_only_where_the_next_backfill_tries_again(death: Outcome) -> None:
    said = advice(death.code, death.retriable)
    assert said
    assert death.retriable or "the next backfill tries again" not in said


def test_advice_is_about_codes_that_there_are() -> None:
    assert [code for code in ADVICE if not is_code_of_a_death(code)] == []


def test_the_readme_says_what_to_do_about_each_code() -> None:
    """As the documentation of the column `code` promises; what ends the run is no dead letter."""
    page = (ROOT / "README.md").read_text()
    never_dead = {"error_4", "error_5"}
    codes = {death.code.replace("http_503", "http_5xx") for death in DEATHS} | {"http_4xx"}
    assert sorted(code for code in codes - never_dead if f"`{code}`" not in page) == []
