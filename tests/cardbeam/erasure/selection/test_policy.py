"""A policy is rules as TOML; what cannot be followed is told in a line that names the rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.erasure.selection.policy import PolicyError, Rule, parse_policy


def test_all_keys() -> None:
    """In the order of the file; a rule without a name is called by its number."""
    policy = """
    [[rule]]
    documents = 1825
    responses = 90
    thumbnails = 30
    dead_letters = 60
    [[rule]]
    name = "refused"
    documents = 90
    types = ["passport", "driving_license"]
    labels = ["decision=refused", "note=a=b"]
    """
    assert parse_policy(policy.encode()) == (
        Rule("rule 1", responses=90, thumbnails=30, documents=1825, dead_letters=60),
        Rule(
            "refused",
            documents=90,
            types=("passport", "driving_license"),
            labels=(("decision", "refused"), ("note", "a=b")),
        ),
    )


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (b"", "has no rule, expected tables [[rule]]"),
        (b"rule = 3", "has no rule, expected tables [[rule]]"),
        (b"days = 3", "unknown key 'days', expected tables [[rule]]"),
        (b"[[rule]]\nage = 3", "rule 1: unknown key 'age', expected name, responses, thumbnails, doc"),
        (
            b"[[rule]]\nresponses = 3\n[[rule]]",
            "rule 2: no age, expected one of responses, thumbnails, documents, dead_",
        ),
        (b"[[rule]]\ndocuments = -3", "rule 1: documents is -3, expected a whole number of days from 1 to 36,500"),
        (b"[[rule]]\ndocuments = 0", "rule 1: documents is 0, expected a whole number of days from 1 to 36,500"),
        (b"[[rule]]\ndocuments = true", "rule 1: documents is True, expected a whole number of days from 1 to 36,500"),
        (
            b"[[rule]]\ndocuments = 1\ntypes = []",
            "rule 1: types is not a list of texts; leave it out to match all images",
        ),
        (
            b"[[rule]]\ndocuments = 1\ntypes = 'passport'",
            "rule 1: types is not a list of texts; leave it out to match all ",
        ),
        (
            b"[[rule]]\ndocuments = 1\ntypes = ['pass']",
            "rule 1: unknown type 'pass', expected one of 9_id_card_front, ",
        ),
        (b"[[rule]]\ndocuments = 1\nlabels = ['C-1042']", "rule 1: entry 1 of labels is not KEY=VALUE"),
        (b"[[rule]]\ndocuments = 1\nname = ''", "rule 1: name is not a text of one line"),
        (
            b"[[rule]]\ndocuments = 1\ndead_letters = true",
            "rule 1: dead_letters is True, expected a whole number of days",
        ),
        (
            b"[[rule]]\ndead_letters = 1\ntypes = ['passport']",
            "rule 1: dead letters have no type: leave out types or dead_letters",
        ),
        (b"[[rule]]\nname = 'a'\ndocuments = 1\n[[rule]]\nname = 'a'\ndocuments = 2", "two rules have the name 'a'"),
        (b"[[rule]", "is not TOML: "),
        (b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_what_cannot_be_followed(policy: bytes, message: str) -> None:
    """One line each."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(policy)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@given(st.binary() | st.text().map(lambda text: f"[[rule]]\ndocuments = {text}".encode()))
def test_any_bytes(content: bytes) -> None:
    """Are rules, or an error of ours."""
    try:
        assert parse_policy(content)
    except PolicyError as error:
        assert str(error)
