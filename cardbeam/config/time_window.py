"""`--until`: the time by which no request may be in flight any longer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta

from cardbeam.model.moment import parse_moment

_EXPECTED = "expected a time as 06:00, or a date and time as 2026-11-30T06:00"


def end_of(until: str, now: datetime) -> datetime:
    """When the window ends: the next such time of the day, or the moment itself; without an offset in local time.

    Raises:
        ValueError: it is no time, or has passed.
    """
    moment = _next(until, now) if _is_time(until) else _moment(until)
    if moment <= now:
        raise ValueError(f"--until {until} has passed")
    return moment


def _is_time(until: str) -> bool:
    try:
        time.fromisoformat(until)
    except ValueError:
        return False
    return True


def _next(until: str, now: datetime) -> datetime:
    at = time.fromisoformat(until)
    local = now.astimezone(at.tzinfo)
    days = (datetime.combine(local.date() + timedelta(days), at) for days in (0, 1))
    return next(one for day in days if (one := day.astimezone()) > now)


def _moment(until: str) -> datetime:
    try:
        return parse_moment(until).astimezone()
    except ValueError:
        raise ValueError(f"--until is {until!r}, {_EXPECTED}") from None


def is_closed(until: str, timeout_s: float, now_s: Callable[[], float]) -> Callable[[], bool]:
    """Whether a call that is sent now may be in flight when the window ends, for a call takes `timeout_s` at most."""
    if not until:
        return lambda: False
    last_send_s = parse_moment(until).timestamp() - timeout_s
    return lambda: now_s() >= last_send_s


def moment_us(text: str) -> int:
    """A date or a date and time, local unless it has an offset, as µs since 1970; 0 for none.

    Raises:
        ValueError: it is neither.
    """
    return round(parse_moment(text).astimezone().timestamp() * 1_000_000) if text else 0
