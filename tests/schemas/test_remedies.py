"""What report and README say to do about a dead letter agrees with what the next backfill does."""

from __future__ import annotations

import re

import pytest

from schemas.contract import TRANSFERS
from schemas.outcomes import OUTCOMES, REMEDIES, is_failure_code, outcome_of_error_code, outcome_of_status, remedy
from tests.pipeline.cli import ROOT

FAILURES = [
    *(outcome for code, outcome in OUTCOMES.items() if code != "succeeded"),
    *(outcome_of_error_code("2", transfer) for transfer in TRANSFERS),
    *(outcome_of_status(status) for status in (413, 429, 503)),
]


def test_what_has_no_remedy_of_its_own_is_tried_again_or_replayed() -> None:
    """Nothing is to be done about exactly those codes that the next backfill tries again and that say nothing else."""
    others = [failure for failure in FAILURES if failure.code not in REMEDIES]
    assert {failure.code: remedy(failure.code, failure.retriable) for failure in others} == {
        failure.code: "nothing: the next backfill tries again" if failure.retriable else "inspect it, then run replay"
        for failure in others
    }
    assert {failure.code for failure in others if failure.retriable} == {
        *("error_2", "error_4", "error_5", "error_6", "timeout", "unreachable", "connection", "http_429", "http_503"),
        *("not_found", "unreadable_source"),
    }


def test_a_remedy_of_its_own_never_leaves_it_to_the_next_backfill() -> None:
    """A code that is final asks for something else; a retriable one may ask for more than waiting."""
    assert {code: remedy(code, retriable=False) for code in REMEDIES} == REMEDIES
    assert [code for code, text in REMEDIES.items() if "the next backfill tries again" in text] == []


def test_a_remedy_is_about_codes_that_there_are() -> None:
    assert [code for code in REMEDIES if not is_failure_code(code)] == []


@pytest.mark.parametrize("path", ["README.md", "docs/dead-letters.md"])
def test_the_pages_name_each_code(path: str) -> None:
    """As the documentation of the column `code` promises; what ends the run is no dead letter."""
    page = (ROOT / path).read_text()
    never_dead = {"error_4"}
    codes = {failure.code.replace("http_503", "http_5xx") for failure in FAILURES} | {"http_4xx"}
    assert sorted(code for code in codes - never_dead if f"`{code}`" not in page) == []


def test_the_readme_shows_the_remedies() -> None:
    """The second column of its table is the remedy of each code in the first."""
    rows = re.findall(r"^\| (`.+) \| (.+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    shown = {code: text.replace("`", "") for codes, text in rows for code in re.findall(r"`(\w+)`", codes)}
    assert {code: shown.get(code) for code in REMEDIES} == REMEDIES
    retriable = [failure.code for failure in FAILURES if failure.retriable and failure.code not in REMEDIES]
    asked = {code: shown[code] for code in retriable if code in shown}
    assert asked == dict.fromkeys(asked, remedy("", retriable=True))
