"""`--reread_before=DATE` pays again on purpose, once, for what was answered before that date."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.catalog.views import connect
from tests.servers import Answer, CardServer, success
from tests.wire import Received

pytestmark = pytest.mark.usefixtures("credentials")


def test_what_was_answered_before_a_date_is_read_again(
    tmp_path: Path, draw: Callable[..., bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two images and a copy two calls are planned, priced and made; `latest_passport` has the newer answers alone.

    The same command again makes no call, and neither does an image that came since.
    """
    images, output = tmp_path / "in", tmp_path / "out"
    images.mkdir()
    for name, number in (("a", 1), ("b", 2), ("copy", 2)):
        (images / f"{name}.jpg").write_bytes(draw(number))
    version = "1"

    def answer(got: Received) -> Answer:
        return success(("passport", {"id": version}))

    with CardServer(answer) as server:
        to = [f"--input={images}/*.jpg", f"--output={output}"]
        run = [*to, f"--endpoint_url={server.base_url}", "--max_requests_per_second=0"]
        assert main(["backfill", *run, "--run_id=1"]) == 0
        date, version = datetime.now().isoformat(), "2"
        (images / "new.jpg").write_bytes(draw(3))
        assert main(["backfill", *run, "--run_id=2"]) == 0
        capsys.readouterr()
        again = f"--reread_before={date}"
        assert main(["plan", *to, again, "--price_per_call=0.5", "--format=json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert main(["backfill", *run, again, "--run_id=3"]) == 0
        assert main(["backfill", *run, again, "--run_id=4"]) == 0
        assert len(server.received) == 2 + 1 + 2
    assert (plan["found"], plan["answered_before"], plan["to_call"], plan["max_price"]) == (4, 1, 3, 1.5)
    with connect(str(output)) as views:
        latest = views.sql("SELECT split_part(uris[1], '/', -1), id, run_id FROM latest_passport ORDER BY 1").fetchall()
        counts = views.sql("SELECT requests.called, requests.skipped, requests.duplicates FROM runs ORDER BY run_id")
        assert counts.fetchall() == [(2, 0, 1), (1, 3, 0), (2, 1, 1), (0, 4, 0)]
        assert views.sql("SELECT count(*), count(DISTINCT uris) FROM requests").fetchall() == [(4, 4)]
    assert {(version, run_id) for _, version, run_id in latest} == {("2", "2"), ("2", "3")}


@pytest.mark.parametrize(
    ("command", "date", "says"),
    [
        ("backfill", "2999-01-01", "--reread_before is 2999-01-01, which is to come"),
        ("plan", "soon", "--reread_before is 'soon', expected a date, 2026-11-01 or 2026-11-01T18:00"),
        ("watch", "2026-01-01", "--reread_before is for backfill and plan"),
    ],
)
def test_what_cannot_be_read_again(
    command: str, date: str, says: str, tmp_path: Path, jpeg: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A date to come would pay for everything at each run; a watch would end nowhere."""
    (tmp_path / "a.jpg").write_bytes(jpeg)
    to = [f"--input={tmp_path}/*.jpg", f"--output={tmp_path}/out", f"--reread_before={date}"]
    assert main([command, *to]) == 2
    assert says in capsys.readouterr().err
