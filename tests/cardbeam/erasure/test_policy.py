"""A policy is rules as TOML; what cannot be followed is told in a line that names the rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.erasure.policy import PolicyError, Rule, parse_policy


def test_all_keys() -> None:
    """In the order of the file; a rule without a name is called by its number."""
    policy = """
    [[rule]]
    days = 1825
    [[rule]]
    name = "refused"
    days = 90
    types = ["passport", "driving_license"]
    labels = ["decision=refused", "note=a=b"]
    [[rule]]
    days = 30
    dead_letters = true
    """
    assert parse_policy(policy.encode()) == (
        Rule("rule 1", 1825),
        Rule("refused", 90, ("passport", "driving_license"), (("decision", "refused"), ("note", "a=b"))),
        Rule("rule 3", 30, dead_letters=True),
    )


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (b"", "has no rule, expected tables [[rule]]"),
        (b"rule = 3", "has no rule, expected tables [[rule]]"),
        (b"days = 3", "unknown key 'days', expected tables [[rule]]"),
        (b"[[rule]]\nage = 3", "rule 1: unknown key 'age', expected name, days, types, labels, dead_letters"),
        (b"[[rule]]\ndays = 3\n[[rule]]", "rule 2: no age, expected days = N"),
        (b"[[rule]]\ndays = -3", "rule 1: days is -3, expected a whole number from 1 to 36,500"),
        (b"[[rule]]\ndays = 0", "rule 1: days is 0, expected a whole number from 1 to 36,500"),
        (b"[[rule]]\ndays = true", "rule 1: days is True, expected a whole number from 1 to 36,500"),
        (b"[[rule]]\ndays = 1\ntypes = []", "rule 1: types is not a list of texts; leave it out to match all images"),
        (b"[[rule]]\ndays = 1\ntypes = 'passport'", "rule 1: types is not a list of texts; leave it out to match all "),
        (b"[[rule]]\ndays = 1\ntypes = ['pass']", "rule 1: unknown type 'pass', expected one of 9_id_card_front, "),
        (b"[[rule]]\ndays = 1\nlabels = ['C-1042']", "rule 1: entry 1 of labels is not KEY=VALUE"),
        (b"[[rule]]\ndays = 1\nname = ''", "rule 1: name is not a text of one line"),
        (b"[[rule]]\ndays = 1\ndead_letters = 1", "rule 1: dead_letters is 1, expected true or false"),
        (
            b"[[rule]]\ndays = 1\ndead_letters = true\ntypes = ['passport']",
            "rule 1: dead letters have no type: leave out types or dead_letters",
        ),
        (b"[[rule]]\nname = 'a'\ndays = 1\n[[rule]]\nname = 'a'\ndays = 2", "two rules have the name 'a'"),
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


@given(st.binary() | st.text().map(lambda text: f"[[rule]]\ndays = {text}".encode()))
def test_any_bytes(content: bytes) -> None:
    """Are rules, or an error of ours."""
    try:
        assert parse_policy(content)
    except PolicyError as error:
        assert str(error)
