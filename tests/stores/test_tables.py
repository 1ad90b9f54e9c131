"""Tables in a bucket answer `sql`, `report` and `publish` as those on a disk do."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from cardbeam.storage.environment import iceberg_options
from cardbeam.storage.folder import Folder, LocalFolder, open_folder
from tests.pipeline import cli
from tests.pipeline.nights import FIRST, HALF, SECOND, write_nights
from tests.stores.conftest import Bucket
from tests.stores.marks import on_s3, others_nightly

pytestmark = pytest.mark.slow

QUESTIONS = (
    "SELECT run_id, type, count(*) AS n FROM documents GROUP BY ALL ORDER BY ALL",
    "SELECT id, dob, uris, labels, called_at FROM latest_passport ORDER BY id",
    "SELECT sides_agree, why_not, count(*) AS n FROM cards GROUP BY ALL ORDER BY ALL",
    "SELECT code, retriable, uris FROM dead_letters_open ORDER BY ALL",
    "SELECT run_id, requests, cost FROM runs ORDER BY ALL",
    "SELECT count(*) AS n FROM military_id_card_front",
)


@pytest.fixture(scope="session")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> LocalFolder:
    """Two runs and a half-finished one."""
    return write_nights(tmp_path_factory.mktemp("nights"))


@pytest.fixture
def in_bucket(bucket: Bucket, on_disk: LocalFolder) -> Folder:
    """The same, file by file."""
    folder = open_folder(f"{bucket.uri}/{uuid4().hex}")
    for file in on_disk.list(""):
        folder.write(file.path, on_disk.read(file.path))
    return folder


def _ask(folder: Folder, question: str) -> object:
    asked = cli.run("sql", f"--output={folder.root}", "--format=json", question)
    assert asked.returncode == 0, asked.stderr
    return [json.loads(line) for line in asked.stdout.splitlines()]


@others_nightly
def test_sql(in_bucket: Folder, on_disk: LocalFolder, bucket: Bucket) -> None:
    """Each view gives the same rows; files are read where they are, and of a half-finished run none is."""
    bucket.proxy.reset()
    assert _ask(in_bucket, ";".join(QUESTIONS)) == _ask(on_disk, ";".join(QUESTIONS))
    read = {request.key for request in bucket.proxy.seen if request.kind == "get"}
    assert [key for key in read if HALF in key] == []


@on_s3
def test_few_requests(in_bucket: Folder, bucket: Bucket) -> None:
    """A first query asks for the receipts, and for the files of its table: each once or twice."""
    bucket.proxy.reset()
    _ask(in_bucket, "SELECT count(DISTINCT id) AS n FROM passport")
    counted = Counter(request.key for request in bucket.proxy.seen if request.kind == "get")
    assert {request.kind for request in bucket.proxy.seen} == {"list", "get"}
    others = {key: times for key, times in counted.items() if "/type=passport/" not in key}
    assert set(others.values()) == {1}
    assert [key for key in others if not key.endswith("/receipt.json")] == []
    assert max(counted.values()) <= 2


@on_s3
def test_report(in_bucket: Folder, bucket: Bucket) -> None:
    """The page and the list of runs are put beside the tables; of other runs nothing but receipts is read."""
    bucket.proxy.reset()
    assert cli.run("report", f"--output={in_bucket.root}", f"--run_id={FIRST}").returncode == 0
    read = {request.key for request in bucket.proxy.seen if request.kind == "get"}
    assert [key for key in read if SECOND in key and not key.endswith("/receipt.json")] == []
    assert b"134" in in_bucket.read(f"runs/{FIRST}/report.html")
    assert in_bucket.read("runs/index.html").count(b"report.html") == 1


@on_s3
def test_iceberg(in_bucket: Folder, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Iceberg tables beside the files, reached by the endpoint and credentials of the runs."""
    catalogs = pytest.importorskip("pyiceberg.catalog.sql")
    past_the_proxy = f"http://{bucket.proxy.upstream.netloc}"  # which takes no body in chunks
    monkeypatch.setenv("AWS_ENDPOINT_URL", past_the_proxy)
    monkeypatch.setitem(cli.ENVIRONMENT, "AWS_ENDPOINT_URL", past_the_proxy)
    settings = {"uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"{in_bucket.root}/iceberg"}
    for name, value in settings.items():
        monkeypatch.setitem(cli.ENVIRONMENT, f"PYICEBERG_CATALOG__CARDS__{name.upper()}", value)
    done = cli.run("publish", f"--output={in_bucket.root}", f"--run_id={SECOND}", "--catalog=cards")
    assert done.returncode == 0, done.stderr
    table = catalogs.SqlCatalog("cards", **settings, **iceberg_options()).load_table("cardbeam.passport")
    assert table.scan(selected_fields=("id",)).to_arrow().num_rows == 29
