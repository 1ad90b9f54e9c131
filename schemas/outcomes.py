"""What each outcome of a call means: one table for codes, statuses and faults.

An outcome says what happens to the request now (`Action`) and, if it ends as a dead
letter, whether a later backfill tries it again (`retriable`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from schemas.contract import ERROR_CODES, SUCCESS


class Action(Enum):
    """What happens to a request after one attempt."""

    SUCCEEDED = "succeeded"
    RETRY = "retry"
    FAILED = "failed"
    STOP = "stop"
    """The run stops at once, whatever other images met: the account has no requests left."""


class Signal(Enum):
    """What an outcome tells about the calls of other images: the input of the circuit breaker."""

    SUCCESS = "success"
    """The endpoint answered (errorCode 0 to 3): it works, and takes the credentials and the call."""
    OWN = "own"
    """This image's own failure; it tells nothing about others."""
    DOUBTFUL = "doubtful"
    """This image's own failure, unless many different images meet it in a row."""
    UNAVAILABLE = "unavailable"
    """No answer. It may be this image's own: an endpoint may fail on one image alone."""
    UNREACHABLE = "unreachable"
    """No answer, and nothing was sent: never an image's own."""
    REFUSED = "refused"
    """Credentials refused."""
    BAD_REQUEST = "bad_request"
    """The endpoint blames the caller."""


class Stage(Enum):
    """Where a request failed: before the call, in it, or in reading its answer."""

    READ = "read"
    CALL = "call"
    PARSE = "parse"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table. `max_attempts` bounds the attempts with this outcome, below the bound on all attempts."""

    code: str
    action: Action
    message: str
    stage: Stage = Stage.CALL
    retriable: bool = False
    slows_down: bool = False
    max_attempts: int | None = None
    signal: Signal = Signal.OWN


def _table(*rows: Outcome) -> dict[str, Outcome]:
    return {row.code: row for row in rows}


def _read(code: str, message: str, retriable: bool = False) -> Outcome:
    return Outcome(code, Action.FAILED, message, Stage.READ, retriable)


def _error(code: str, action: Action, signal: Signal = Signal.SUCCESS, *, retriable: bool = False) -> Outcome:
    return Outcome(f"error_{code}", action, ERROR_CODES[code], retriable=retriable, signal=signal)


def _no_answer(code: str, signal: Signal, message: str, **others: Any) -> Outcome:
    return Outcome(code, Action.RETRY, message, signal=signal, **others)


OUTCOMES: dict[str, Outcome] = _table(
    Outcome("succeeded", Action.SUCCEEDED, "Succeeded", signal=Signal.SUCCESS),
    _error("1", Action.FAILED),
    _error("2", Action.RETRY, retriable=True),
    _error("3", Action.FAILED),
    _error("4", Action.STOP, Signal.OWN, retriable=True),
    _error("5", Action.FAILED, Signal.REFUSED, retriable=True),
    _error("6", Action.FAILED, Signal.BAD_REQUEST, retriable=True),
    _no_answer("timeout", Signal.UNAVAILABLE, "No response within the timeout", retriable=True, slows_down=True),
    _no_answer("unreachable", Signal.UNREACHABLE, "No connection to the endpoint could be opened", retriable=True),
    _no_answer(
        "connection", Signal.DOUBTFUL, "The connection was lost after the request", retriable=True, max_attempts=3
    ),
    _no_answer(
        "bad_reply",
        Signal.UNAVAILABLE,
        "The response's framing, encoding, size or JSON is not the contract's; kept in the ledger",
        max_attempts=3,
    ),
    Outcome("unsupported_format", Action.FAILED, "A file of a format that the endpoint does not take"),
    _read("not_found", "There is no image at this URI", retriable=True),
    _read("unpaired", "The call takes two sides, front and back, and one is missing"),
    _read("unreadable_source", "The image's storage could not be read", retriable=True),
    _read("forbidden", "The image's storage refuses it to us, and no other", retriable=True),
    _read("no_url", "The endpoint cannot fetch this image: expected an https, s3, gs or az URI", retriable=True),
    _read("unreadable_image", "Not a whole image or PDF that can be sent"),
    _read("password_protected", "A PDF that opens only with a password"),
    _read("too_large", "The image has more pixels or bytes than can be sent safely"),
    Outcome("unknown_type", Action.FAILED, "The answer names a document type outside the contract", Stage.PARSE),
    Outcome("bad_document", Action.FAILED, "A document of the answer has no readable fields", Stage.PARSE),
    Outcome("no_document", Action.FAILED, "The answer holds no document", Stage.PARSE),
)

REMEDIES: dict[str, str] = {
    "error_1": "ask the customer for a new photo: no card is seen on it",
    "error_3": "ask the customer for a new photo: it is not a whole image",
    "unreadable_image": "ask the customer for a new photo: it is not a whole image",
    "password_protected": "ask for the PDF without a password",
    "unsupported_format": "run replay --codes=unsupported_format --transcode=jpeg, or ask for a JPEG",
    "too_large": "shrink the image",
    "http_413": "shrink the image",
    "unpaired": "complete the manifest: a side is missing",
    "bad_reply": "ask the vendor: the response is in the ledger, and may have been billed",
    "forbidden": "give the runs the right to read the image",
    "no_url": "use another --transfer, or put the image where the endpoint can fetch it",
    "unknown_type": "run publish when a new version reads it",
    "bad_document": "run publish when a new version reads it",
    "no_document": "run publish when a new version reads it",
}
"""What to do about dead letters, by code; other codes go by `retriable`. The report and the README show these texts."""

_RETRIABLE, _FINAL = "nothing: the next backfill tries again", "inspect it, then run replay"

_OF_THE_ENDPOINT = re.compile(r"http_[0-9]{3}|error_([0-9]{1,4}|unknown)")
"""Codes that are made of what the endpoint said."""

_NO_ANSWER = frozenset({408, 425, 429})
"""Statuses below 500 that pass."""


def is_failure_code(name: str) -> bool:
    """Whether a dead letter may have this code."""
    return name in OUTCOMES.keys() - {"succeeded"} or _OF_THE_ENDPOINT.fullmatch(name) is not None


def outcome_of_error_code(error_code: str, transfer: str) -> Outcome:
    """The contract's errorCode -> Outcome; a code outside the table is a final failure."""
    if error_code == SUCCESS:
        return OUTCOMES["succeeded"]
    if error_code not in ERROR_CODES:
        known = error_code if error_code.isdigit() and len(error_code) <= 4 else "unknown"
        return Outcome(f"error_{known}", Action.FAILED, "An errorCode outside the contract", signal=Signal.DOUBTFUL)
    outcome = OUTCOMES[f"error_{error_code}"]
    if error_code == "2" and transfer != "url":  # no URL was sent: asking again changes nothing
        return replace(outcome, action=Action.FAILED, retriable=False)
    return outcome


def outcome_of_status(status: int) -> Outcome:
    """An HTTP status other than 200 -> Outcome.

    Other 2xx are responses outside the contract; 5xx pass; all that is left (redirects, 400, 404, 405, …) says that the
    caller is at fault.
    """
    if 200 <= status < 300:
        return OUTCOMES["bad_reply"]
    if status == 415:
        return OUTCOMES["unsupported_format"]
    action, signal = _meaning_of(status)
    return Outcome(
        f"http_{status}",
        action,
        f"The endpoint answered HTTP {status}",
        retriable=signal is not Signal.OWN,
        slows_down=status in (429, 503),
        signal=signal,
    )


def outcome_of_code(code: str) -> Outcome:
    """The outcome that the code of a dead letter stands for, whatever version wrote it."""
    if code in OUTCOMES:
        return OUTCOMES[code]
    if code.startswith("http_") and _OF_THE_ENDPOINT.fullmatch(code) is not None:
        return outcome_of_status(int(code.removeprefix("http_")))
    message = "An errorCode outside the contract" if code.startswith("error_") else "A code of another version"
    return Outcome(code, Action.FAILED, message, signal=Signal.DOUBTFUL)


def remedy(code: str, retriable: bool) -> str:
    """What to do about dead letters of a code, in one line."""
    return REMEDIES.get(code, _RETRIABLE if retriable else _FINAL)


def _meaning_of(status: int) -> tuple[Action, Signal]:
    if status >= 500 or status in _NO_ANSWER:
        return Action.RETRY, Signal.UNAVAILABLE
    if status in (401, 403):
        return Action.FAILED, Signal.REFUSED
    return Action.FAILED, Signal.OWN if status == 413 else Signal.BAD_REQUEST
