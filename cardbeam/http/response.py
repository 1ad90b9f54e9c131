"""What one HTTP attempt came to: the response, and the outcome it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from requests import codes

from schemas.outcomes import OUTCOMES, Outcome, outcome_of_error_code, outcome_of_status
from schemas.response import BadResponse, parse_response


@dataclass(frozen=True, slots=True)
class CallResult:
    """What came of one request. `body` is kept where it may have been paid for."""

    outcome: Outcome
    status: int | None = None
    body: bytes | None = None
    retry_after_s: float | None = None
    latency_s: float = 0.0
    hold_s: float | None = None
    """For how long the endpoint says that its quota is used up."""


def outcome_of_response(status: int, body: bytes, transfer: str) -> Outcome:
    """Status and body -> Outcome.

    A refusal (4xx) that carries the contract's envelope is taken at its errorCode, so that one
    bad image never looks like a caller at fault.
    """
    if status == codes.ok:
        try:
            return outcome_of_error_code(parse_response(body).error_code, transfer)
        except BadResponse:
            return OUTCOMES["bad_reply"]
    outcome = outcome_of_status(status)
    if status in (codes.bad_request, codes.unsupported_media_type, codes.unprocessable):
        try:
            response = parse_response(body)
        except BadResponse:
            return outcome
        if not response.is_success:
            return outcome_of_error_code(response.error_code, transfer)
    return outcome


def seconds_of(retry_after: str | None, now_s: float) -> float | None:
    """A Retry-After header, in seconds or as a date, as seconds from now; None where it is neither."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now_s)
    except (ValueError, OverflowError):  # the latter of a time zone that is out of this world
        return None
