"""The report says what happened in the run it is about, shows nothing of a card, and stands alone in a browser."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.catalog.views import connect
from pipeline.report.facts import Facts, connect_to_run, facts_of, shares_unsure
from pipeline.report.page import sentence, shown
from schemas.documents import DOCUMENTS
from schemas.fields import Kind
from tests.pipeline.nights import FIRST, HALF, SECOND, ledger_record, person, response, write_nights, write_run

_URI = re.compile(
    r"""(?:src|href|xlink:href)="(?!data:|#|\.\./index\.html|\d{8}T\d{6}Z/report\.html)[^"]*|url\((?!#)"""
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, each with its report, and a half-finished one."""
    root = Path(write_nights(tmp_path_factory.mktemp("nights")).root)
    for run_id in (FIRST, SECOND):
        assert main(["report", f"--output={root}", f"--run_id={run_id}"]) == 0
    return root


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    """The report of the first run."""
    return Path(root, "runs", FIRST, "report.html").read_text()


@pytest.fixture(scope="module")
def facts(root: Path) -> Facts:
    """What it was made from."""
    return _facts_of(LocalFolder(str(root)), FIRST)


def _facts_of(folder: LocalFolder, run_id: str) -> Facts:
    return facts_of(connect_to_run(folder, run_id), run_id)


class _Text(HTMLParser):
    """What a reader sees of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


def _text(page: str) -> str:
    parser = _Text()
    parser.feed(page.replace("<wbr>", ""))
    return " ".join(" ".join(parser.seen).split())


def test_sentence(page: str) -> None:
    """The first sentence tells what happened."""
    message = "The run is complete: of 134 images found 0 were processed before, 122 succeeded and 12 could not be"
    assert message in _text(page)


def test_stopped() -> None:
    """A run that stopped is told what to do, and counts that do not add up are said."""
    requests = {"found": 9, "skipped": 1, "succeeded": 3, "dead_lettered": 0, "deferred": 4}
    assert sentence({"status": "out_of_requests", "requests": requests, "reconciled": False}) == (
        "The account's requests ran out; the same command, given later, takes up what is left: "
        "of 9 images found 1 were processed before, "
        "3 succeeded and 0 could not be read, 4 deferred, but the counts do not add up."
    )


def test_dead_letters(facts: Facts) -> None:
    """Dead letters are counted by code, with what to do."""
    assert facts.dead_letters.rows == [
        ("error_1", "ask the customer for a new photo: no card is seen on it", 4),
        ("http_503", "nothing: the next backfill tries again", 4),
        ("unreadable_image", "ask the customer for a new photo: it is not a whole image", 4),
    ]


def test_counts(facts: Facts, root: Path) -> None:
    """Documents, warnings, rate and latency are those of the run's own rows, not of others."""
    assert facts.documents.rows[-1] == ("9_id_card_front", 12)
    assert sum(count for _, count in facts.documents.rows) == 182
    warned = connect(str(root)).execute(
        "SELECT count(*) FROM documents WHERE run_id = ? AND NOT valid", [FIRST]).fetchall()  # fmt: skip
    assert [row[2] for row in facts.warnings.rows] == [warned[0][0]]
    assert sum(facts.rate.per_s) * facts.rate.bin_s == pytest.approx(facts.run["calls"]["sent"])
    assert len(facts.latencies_s) == 134
    assert facts.latency.rows[-1] == ("slowest", pytest.approx(0.695))


def test_unsure(facts: Facts) -> None:
    """The weak fields lead, and a share is that of readings under the threshold."""
    rows = shares_unsure(facts).rows
    assert {row[1] for row in rows[:4]} <= {"address", "issue_date"}
    assert rows == sorted(rows, key=lambda row: (-row[2], row[:2]))


def test_missing(tmp_path: Path) -> None:
    """A field that some documents lack has its share; those that all lack are told apart."""
    rng, folder = random.Random(1), LocalFolder(str(tmp_path))
    given = [{"id": f"B{number}", "place_of_birth": "" if number else "Tỉnh Mẫu"} for number in range(4)]
    responses = [response(rng, ("passport", info)) for info in given]
    write_run(
        folder, FIRST, [ledger_record(FIRST, at, (f"{at}.jpg",), response=one) for at, one in enumerate(responses)]
    )
    found = _facts_of(folder, FIRST)
    assert found.missing.rows == [("passport", "place_of_birth", 75.0)]
    assert "full_name" in found.never["passport"]
    assert {"id", "place_of_birth"} & set(found.never["passport"]) == set()


def test_trend(root: Path) -> None:
    """The trend ends with the run itself."""
    trends = [[one["run_id"] for one in _facts_of(LocalFolder(str(root)), run_id).trend] for run_id in (FIRST, SECOND)]
    assert trends == [[FIRST], [FIRST, SECOND]]


def test_no_card_text(page: str, root: Path) -> None:
    """No value of a card, no URI of an image and no label is in the page."""
    connection = connect(str(root))
    values: set[str] = set()
    for name, fields in DOCUMENTS.items():
        columns = ", ".join(f'"{field.name}"' for field in fields if field.kind in (Kind.TEXT, Kind.DATE))
        for row in connection.sql(f'SELECT {columns} FROM "{name}"').fetchall():
            values |= {str(value) for value in row if value not in (None, "")}
    assert str(person(random.Random(8))["name"]).split()[0] in " ".join(values)
    assert [value for value in values if len(value) > 3 and value in page] == []
    assert [word for word in ("s3://", ".jpg", "C-0", "north") if word in page] == []


def test_alone(page: str, root: Path) -> None:
    """Neither the page nor the list of runs takes anything from elsewhere, or runs a script."""
    for one in (page, Path(root, "runs", "index.html").read_text()):
        assert _URI.findall(one) == []
        assert "<script" not in one


def test_nothing_answered(tmp_path: Path) -> None:
    """A run in which nothing was answered has a report, without plots of what there is not."""
    write_run(LocalFolder(str(tmp_path)), FIRST, [], deferred=3)
    assert main(["report", f"--output={tmp_path}"]) == 0
    message = _text(Path(tmp_path, "runs", FIRST, "report.html").read_text())
    assert "of 3 images found" in message
    assert "3 deferred" in message


def test_index(root: Path) -> None:
    """The list links each run that has ended to its report, the newest first."""
    links = re.findall(r'href="([^"]+report\.html)"', Path(root, "runs", "index.html").read_text())
    assert links == [f"{SECOND}/report.html", f"{FIRST}/report.html"]


def test_unfinished(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run without a receipt has no report."""
    assert main(["report", f"--output={root}", f"--run_id={HALF}"]) == 2
    assert f"--run_id {HALF} has not ended" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "message"), [(0, "0"), (12345, "12,345"), (0.6953, "0.695"), (1234.5, "1,234"), (2.0, "2"), ("a", "a")]
)
def test_shown(value: object, message: str) -> None:
    """Numbers are short and grouped."""
    assert shown(value) == message


@pytest.mark.slow
@pytest.mark.parametrize("width_px", [1280, 390])
@pytest.mark.parametrize("name", [f"{FIRST}/report.html", "index.html"])
def test_browser(name: str, width_px: int, root: Path) -> None:
    """In Chromium the page logs nothing, asks for nothing, draws its plots and is no wider than the screen."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium here")
    heard: list[str] = []
    receive: Callable[[Any], None] = lambda event: heard.append(str(event))  # noqa: E731
    with playwright.sync_playwright() as driver:
        short = {**os.environ, "TMPDIR": "/tmp"}  # it makes a socket there, whose path may have a hundred characters
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"], env=short)
        page = browser.new_page(viewport={"width": width_px, "height": 900})
        page.on("console", receive)
        page.on("pageerror", receive)
        page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else receive(asked.url))
        page.goto(Path(root, "runs", name).as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        drawn = page.evaluate(
            "[...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().height > 40).length"
        )
        browser.close()
    assert (heard, wide) == ([], width_px)
    assert drawn == (9 if "report" in name else 0)
