"""Times are read as they are written, on every Python."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from cardbeam.model.moment import parse_moment

UTC = timezone.utc


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01T06:00:00Z", datetime(2026, 11, 1, 6, tzinfo=UTC)),
        ("2026-11-01T06:00:00+07:00", datetime(2026, 11, 1, 6, tzinfo=timezone(timedelta(hours=7)))),
        ("2026-11-01T06:00", datetime(2026, 11, 1, 6)),
        ("2026-11-01", datetime(2026, 11, 1)),
    ],
)
def test_a_moment_is_read(text: str, moment: datetime) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["", "Z", "soon", "2026-13-01", "06:00"])
def test_what_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_moment(text)
