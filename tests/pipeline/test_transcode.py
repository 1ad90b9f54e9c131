"""`replay --codes=unsupported_format --transcode=jpeg` sends a phone's HEIC as a JPEG; it stays the same image."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cardbeam.model.request import item_id_of
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.catalog.views import connect
from pipeline.runs.registry import run_ids
from tests.servers import Answer, CardServer, success
from tests.wire import Received

HEIC = Path(__file__).parents[1] / "data" / "turned.heic"
_COUNTS = ("found", "skipped", "duplicates", "succeeded", "dead_lettered")

pytestmark = pytest.mark.usefixtures("credentials")


def _counts(output: Path, run_id: str) -> list[int]:
    receipt: Any = read_receipt(LocalFolder(str(output)), run_id)
    return [receipt.requests[name] for name in _COUNTS]


def test_a_heic_is_sent_as_a_jpeg(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """Its dead letter is resolved by a row under the key of the file; a copy is then known, and not sent."""
    images, output = tmp_path / "in", tmp_path / "out"
    images.mkdir()
    shutil.copy(HEIC, images / "phone.heic")
    (images / "card.jpg").write_bytes(draw(1))
    sent: list[Received] = []

    def answer(got: Received) -> Answer:
        sent.append(got)
        return success(("passport", {"id": "B0000001"}))

    with CardServer(answer) as server:
        to = [f"--output={output}", f"--endpoint_url={server.base_url}", "--max_requests_per_second=0"]
        night = [f"--input={images}/*", *to]
        assert main(["backfill", *night, "--run_id=1000"]) == 0
        assert main(["replay", *to, "--codes=unsupported_format", "--transcode=jpeg"]) == 0
        shutil.copy(HEIC, images / "copy.heic")
        assert main(["backfill", *night, "--run_id=3000"]) == 0
    assert [_counts(output, run) for run in run_ids(LocalFolder(str(output)))] == [
        [2, 0, 0, 1, 1],
        [1, 0, 0, 1, 0],
        [3, 3, 0, 0, 0],
    ]
    (part,) = sent[1].images
    with Image.open(io.BytesIO(part.content)) as opened:
        assert (len(sent), part.content_type, opened.format, opened.size) == (2, "image/jpeg", "JPEG", (40, 64))
    key = item_id_of("ekyc/card", [HEIC.read_bytes()])
    with connect(str(output)) as views:
        found = views.sql(f"SELECT outcome, message FROM ledger WHERE item_id = '{key}' ORDER BY ALL").fetchall()
        rows = views.sql(f"SELECT count(*) FROM passport WHERE item_id = '{key}'").fetchall()
        assert (rows, views.sql("SELECT count(*) FROM dead_letters_open").fetchall()) == ([(1,)], [(0,)])
    assert found == [
        ("duplicate", None),
        ("failed", "A file of a format that the endpoint does not take"),
        ("succeeded", "sent as a JPEG of 40 x 64 pixels"),
    ]


def test_what_cannot_be_transcoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By URL nothing is sent that could be changed."""
    assert main(["replay", f"--output={tmp_path}", "--transcode=jpeg", "--transfer=url"]) == 2
    assert "--transcode changes the images that are sent, and --transfer=url sends none" in capsys.readouterr().err
