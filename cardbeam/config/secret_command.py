"""A secret from a command that a vault's client offers: `vault kv get -field=secret secret/cardbeam`, for example.

The command prints the secret alone, or a JSON object with `api_key` and `api_secret`.
"""

from __future__ import annotations

import shlex
import subprocess

import orjson

from cardbeam.storage.open_uri import SourceError

VARIABLE = "CARD_API_SECRET_COMMAND"
TIMEOUT_S = 60.0


def secrets_of(command: str, timeout_s: float = TIMEOUT_S) -> dict[str, str]:
    """What the command prints, by name. It runs without a shell; its error output goes to ours.

    Raises:
        SourceError: it cannot be run, fails, or prints nothing within the time. The message holds nothing it printed.
    """
    printed = _run(command, timeout_s).strip()
    if not printed:
        raise SourceError(f"{VARIABLE} printed nothing: expected the secret, or a JSON object")
    try:
        held = orjson.loads(printed)
    except orjson.JSONDecodeError:
        held = None
    if not isinstance(held, dict):
        return {"api_secret": printed}
    return {name: value for name in ("api_key", "api_secret") if isinstance(value := held.get(name), str)}


def _run(command: str, timeout_s: float) -> str:
    try:
        words = shlex.split(command)
        ended = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=timeout_s, check=False, text=True
        )
    except (ValueError, IndexError):  # an open quote, bytes that are no text, or no word at all
        raise SourceError(f"{VARIABLE} cannot be run: expected a command, its words quoted as in a shell") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"{VARIABLE} did not end within {timeout_s:g} s: run it by hand") from None
    except OSError as error:
        raise SourceError(f"{VARIABLE} cannot be run: {error.strerror}: {words[0]}") from None
    if ended.returncode:
        raise SourceError(f"{VARIABLE} exited with status {ended.returncode}: run it by hand")
    return ended.stdout
