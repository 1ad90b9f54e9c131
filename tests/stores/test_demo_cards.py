"""The bundled cards, read by the embedded endpoint, give the same tables from each store as from a local folder."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cardbeam.run_state.layout import DEAD_LETTERS, DOCUMENT_TABLES
from cardbeam.storage.folder import open_folder
from pipeline.catalog.views import connect
from schemas.documents import DOCUMENT_TYPES
from tests.pipeline import cli
from tests.stores.conftest import Bucket
from tests.stores.marks import others_nightly
from tests.stores.runs import Ends, new_ends

pytestmark = pytest.mark.slow

CARDS = cli.ROOT / "cards"
SUFFIXES = (".jpg", ".png", ".pdf")
OF_THE_RUN = ("called_at", "started_at", "completed_at")


@pytest.fixture(scope="session")
def endpoint_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded endpoint, in a process of its own."""
    port_file = tmp_path_factory.mktemp("endpoint") / "url"
    command = [sys.executable, "-m", "endpoint", "--port=0", f"--port_file={port_file}"]
    with subprocess.Popen(command, cwd=cli.ROOT, env=cli.ENVIRONMENT) as child:
        while not (port_file.exists() and port_file.read_text().strip()):
            assert child.poll() is None, "the endpoint did not start"
            time.sleep(0.05)
        yield port_file.read_text().strip()
        child.terminate()


def _backfill(images: str, output: str, endpoint_url: str) -> None:
    run = cli.run(
        "backfill",
        *(f"--input={images}/*{suffix}" for suffix in SUFFIXES),
        f"--output={output}",
        f"--endpoint_url={endpoint_url}",
        "--max_requests_per_second=0",
        "--max_in_flight=4",
        timeout_s=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def _tables(ends: Ends) -> dict[str, list[dict[str, Any]]]:
    """All rows by table, without times, and with file names for URIs."""
    tables = {}
    for table in (*DOCUMENT_TABLES, DEAD_LETTERS):
        rows = [{name: value for name, value in row.items() if name not in OF_THE_RUN} for row in ends.rows(table)]
        for row in rows:
            row["uris"] = sorted(uri.rpartition("/")[2] for uri in row["uris"])
            if table == DEAD_LETTERS:
                row.pop("item_id")  # what cannot be opened is known by its URI
        tables[table] = sorted(rows, key=lambda row: (row["uris"], row.get("document_index", 0)))
    return tables


@pytest.fixture(scope="session")
def local_output(endpoint_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    output = str(tmp_path_factory.mktemp("tables"))
    _backfill(str(CARDS), output, endpoint_url)
    return output


@pytest.fixture(scope="session")
def from_a_local_folder(local_output: str) -> dict[str, list[dict[str, Any]]]:
    return _tables(Ends(open_folder(str(CARDS)), open_folder(local_output)))


def test_each_view_answers(local_output: str, from_a_local_folder: dict[str, list[dict[str, Any]]]):
    connection = connect(local_output)
    names = [name for (name,) in connection.sql("SHOW TABLES").fetchall()]
    counts = {name: connection.sql(f'SELECT count(*) FROM (SELECT * FROM "{name}")').fetchall()[0][0] for name in names}
    assert {name for name in names if counts[name]} >= {"cards", "documents", "ledger", "runs", "latest_documents"}
    assert counts["documents"] == sum(counts[name] for name in DOCUMENT_TYPES)
    assert counts["dead_letters"] == counts["dead_letters_open"] == len(from_a_local_folder[DEAD_LETTERS])
    of_types = {*DOCUMENT_TYPES, *(f"latest_{name}" for name in DOCUMENT_TYPES)}
    assert sorted({*names} - of_types) == [
        "cards", "codes", "cost", "dead_letters", "dead_letters_open", "districts", "document_types", "documents",
        "fields", "holders", "latest_answers", "latest_cards", "latest_documents", "latest_holders", "ledger",
        "places", "provinces", "requests", "runs", "wards", "warning_codes",
    ]  # fmt: skip
    assert len(names) == len({*names}) and of_types <= {*names}


@others_nightly
def test_the_bundled_cards(bucket: Bucket, endpoint_url: str, from_a_local_folder: dict[str, list[dict[str, Any]]]):
    ends = new_ends(bucket)
    cards = [path for path in CARDS.iterdir() if path.suffix in SUFFIXES]
    ends.put({path.name: path.read_bytes() for path in cards})
    _backfill(ends.images.root, ends.output.root, endpoint_url)
    assert _tables(ends) == from_a_local_folder
    assert sum(map(len, from_a_local_folder.values())) >= len(cards)
