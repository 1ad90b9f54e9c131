"""The nine calls of the contract, each made by the graph and answered by the embedded endpoint."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.commands import demo
from schemas.contract import OPERATIONS, TRANSFERS
from tests.pipeline import cli

pytestmark = pytest.mark.slow
_CARDS = cli.ROOT / "cards"


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The bundled cards over HTTP."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.func.log_message = lambda *_: None  # type: ignore[attr-defined]  # quiet
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.usefixtures("credentials")
def test_nine_calls(tmp_path: Path) -> None:
    """Each operation by each transfer gives the rows of the card that was sent."""
    rows: dict[tuple[str, str], list[tuple[object, ...]]] = {}
    with demo.endpoint("--workers=1", "--allow_private_addresses") as base_url, _served(_CARDS) as host:
        for operation, known in OPERATIONS.items():
            for transfer in TRANSFERS:
                where = host if transfer == "url" else str(_CARDS)
                sides = ["front_uri", "back_uri"] if len(known.image_params) == 2 else ["uri"]
                cards = [f"{where}/chip-front-01.jpg", f"{where}/chip-back-01.jpg"][: len(sides)]
                manifest = tmp_path / "cards.csv"
                manifest.write_text(f"{','.join(sides)},customer\n{','.join(cards)},C-7\n")
                output = tmp_path / operation.replace("/", "-") / transfer
                status = main(
                    [
                        "backfill",
                        f"--input={manifest}",
                        f"--output={output}",
                        f"--endpoint_url={base_url}",
                        f"--operation={operation}",
                        f"--transfer={transfer}",
                    ]
                )
                assert status == 0
                rows[operation, transfer] = cli.query(
                    output,
                    "SELECT id, valid IS NULL, labels['customer'] FROM chip_id_card_front UNION ALL "
                    "SELECT person_number, valid IS NULL, labels['customer'] FROM chip_id_card_back",
                )
    number = "062089982314"
    front, judged = (number, False, "C-7"), (number, True, "C-7")
    assert rows == {
        (operation, transfer): [judged if operation == "ocr/card" else front] * len(known.image_params)
        for operation, known in OPERATIONS.items()
        for transfer in TRANSFERS
    }


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The demo reads the good cards, buries the bad ones, shows a query's result and what to do next."""
    assert demo.main([f"--output={tmp_path / 'demo'}"]) == 0
    out = capsys.readouterr().out
    assert "22 found, 0 skipped, 1 duplicates, 17 succeeded, 4 dead-lettered, 0 deferred" in out
    assert "./run.sh sql" in out
    assert cli.query(
        tmp_path / "demo", "SELECT uris[1].parse_filename() AS file, stage, code FROM dead_letters ORDER BY 1"
    ) == [
        ("bad-blank.jpg", "call", "error_1"),
        ("bad-empty.jpg", "read", "unreadable_image"),
        ("bad-text.jpg", "read", "unreadable_image"),
        ("bad-truncated.jpg", "read", "unreadable_image"),
    ]
