"""A window ends at the next such time of the day; the last call is sent so early that none is in flight then."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.config.time_window import end_of, is_closed

VIETNAM = timezone(timedelta(hours=7))
NOW = datetime(2026, 11, 29, 22, 0, tzinfo=timezone.utc).astimezone()


@given(st.times(), st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)))
def test_a_time_is_the_next_one_within_a_day(at: object, now: datetime) -> None:
    local = now.astimezone()
    end = end_of(at.replace(microsecond=0).isoformat(), local)  # type: ignore[attr-defined]
    assert timedelta(0) < end - local <= timedelta(days=1, hours=1)  # an hour more where clocks go back
    assert end.replace(tzinfo=None).time().second == at.second  # type: ignore[attr-defined]


def test_a_moment_is_itself() -> None:
    """With its offset, or in local time without one."""
    assert end_of("2026-11-30T06:00+07:00", NOW) == datetime(2026, 11, 30, 6, tzinfo=VIETNAM)
    assert end_of("2026-12-01T06:00", NOW) == datetime(2026, 12, 1, 6).astimezone()


@pytest.mark.parametrize(
    ("until", "message"),
    [
        ("2026-11-29T06:00+07:00", "--until 2026-11-29T06:00+07:00 has passed"),
        ("6 o'clock", '--until is "6 o\'clock", expected a time as 06:00, or a date and time as 2026-11-30T06:00'),
        ("24:00", "--until is '24:00', expected a time as 06:00, or a date and time as 2026-11-30T06:00"),
    ],
)
def test_another_text_is_refused(until: str, message: str) -> None:
    with pytest.raises(ValueError, match="--until") as error:
        end_of(until, NOW)
    assert str(error.value) == message


def test_the_last_call_has_its_whole_timeout() -> None:
    """Closed from 30 s before the end, and never without an end."""
    now_s = [1_000_000_000.0]
    until = datetime.fromtimestamp(1_000_000_100, timezone.utc).isoformat()
    closed = is_closed(until, 30.0, lambda: now_s[0])
    found = []
    for now_s[0] in (1_000_000_000.0, 1_000_000_069.9, 1_000_000_070.0, 1_000_000_200.0):
        found.append(closed())
    assert found == [False, False, True, True]
    assert not is_closed("", 30.0, lambda: now_s[0])()
