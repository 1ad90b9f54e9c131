"""A command gives the secret, and a failing one is told without anything that it printed."""

from __future__ import annotations

import shlex
import sys

import pytest

from cardbeam.config.credentials import read_credentials
from cardbeam.config.secret_command import secrets_of
from cardbeam.http.card_client import Credentials
from cardbeam.storage.open_uri import SourceError


def quoted(code: str) -> str:
    """A command that runs some Python."""
    return shlex.join([sys.executable, "-c", code])


@pytest.mark.parametrize(
    ("code", "credentials"),
    [
        ('print("from-vault")', Credentials("key-1", "from-vault")),
        ('print("12345")', Credentials("key-1", "12345")),
        ("""print('{"api_key": "k", "api_secret": "s"}')""", Credentials("k", "s")),
    ],
)
def test_it_prints_the_secret_or_both(monkeypatch: pytest.MonkeyPatch, code: str, credentials: Credentials) -> None:
    """CARD_API_KEY is from the environment where the command tells none."""
    monkeypatch.setenv("CARD_API_KEY", "key-1")
    monkeypatch.setenv("CARD_API_SECRET_COMMAND", quoted(code))
    assert read_credentials(None) == credentials


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (quoted("print('hide'); exit(3)"), "exited with status 3: run it by hand"),
        (quoted("import time; print('hide', flush=True); time.sleep(9)"), "did not end within 0.5 s: run it by hand"),
        ("/nowhere/vault get", "cannot be run: No such file or directory: /nowhere/vault"),
        ("vault 'get", "cannot be run: expected a command, its words quoted as in a shell"),
        (quoted(""), "printed nothing: expected the secret, or a JSON object"),
    ],
)
def test_a_failing_command_is_told(command: str, message: str) -> None:
    """In words, with what to do."""
    with pytest.raises(SourceError) as error:
        secrets_of(command, timeout_s=0.5)
    assert str(error.value) == f"CARD_API_SECRET_COMMAND {message}"
