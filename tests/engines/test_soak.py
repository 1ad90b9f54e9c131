"""A minute of the long soak: each image of a faulty endpoint has one row, through kills, and is paid for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines import install
from tests.engines.soak import Asked, say, soak


@pytest.mark.slow
@pytest.mark.nightly
def test_a_minute_of_it(tmp_path: Path) -> None:
    """Killed twice, with 15 % of the calls failing: no image without a row, no call in vain but those in flight."""
    try:
        prism = f"--prism_location={install.prism()}"
    except install.NotInstalled as why:
        pytest.skip(str(why))
    asked = Asked(
        minutes=0.75,
        rate=2.0,
        faults=0.15,
        poison=False,
        sick=False,
        outage_s=0.0,
        kill_every_s=18.0,
        settle_s=180.0,
        pairs=False,
    )
    result = soak(tmp_path, [prism, "--max_requests_per_second=20", "--poll_interval_s=1"], asked)
    assert result.failures == [], "\n".join(say(result))
    assert (result.counts["rows"], len(result.samples), result.launches >= 3) == (90, 4, True)
