"""`evaluate` tells how each card of a truth was read, prints no text of a card, and explains a faulty truth."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.catalog.views import connect
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.truth_file import TrueCard, read_truth
from schemas.documents import DOCUMENTS
from schemas.fields import Kind
from tests.pipeline.cli import ROOT
from tests.pipeline.nights import FIRST, failure, ledger_record, write_run

_CARDS = ROOT / "cards"


def _answer(*documents: tuple[str, dict[str, object]]) -> bytes:
    return json.dumps({"errorCode": "0", "data": [{"type": name, "info": info} for name, info in documents]}).encode()


def _output(root: Path, name: str = "LÊ THỬ") -> str:
    """A card with a wrong letter, an image with two documents, one that failed."""
    front = {"id": "079300000001", "name": name, "name_confidence": 0.9, "dob": "01/02/1990", "dob_confidence": 0.99}
    records = [
        ledger_record(FIRST, 0, ("s3://b/x/a.jpg",), response=_answer(("chip_id_card_front", front))),
        ledger_record(
            FIRST, 1, ("s3://b/x/b.pdf",), response=_answer(("passport", {"id": "B1"}), ("passport", {"id": "B2"}))
        ),
        failure(FIRST, 2, "s3://b/x/c.jpg", "error_1", "no card", False),
    ]
    write_run(LocalFolder(str(root)), FIRST, records)
    return str(root)


_TRUTH = """uri,type,id,name,dob
a.jpg,chip_id_card_front,079300000001,LÊ THỮ,01-02-1990
x/b.pdf,passport,B1,,
s3://b/x/b.pdf,passport,B3,,
c.jpg,chip_id_card_front,079300000003,LÊ MẪU,
"""


def _truth(root: Path, text: str = _TRUTH) -> str:
    path = root / "truth.csv"
    path.write_text(text)
    return str(path)


def test_evaluated(tmp_path: Path) -> None:
    """Every value is scored once; each card of an image has a document of its own, a failed image has none."""
    found = evaluate(connect(_output(tmp_path)), read_truth(_truth(tmp_path)))
    results = [(one.card, one.field, one.result.value, one.edits, one.confidence) for one in found.scores]
    assert [(*row[:4], None if row[4] is None else round(row[4], 4)) for row in results] == [
        (0, "id", "exact", 0, None),
        (0, "name", "partly", 1, 0.9),
        (0, "dob", "exact", 0, 0.99),
        (1, "id", "exact", 0, None),
        (2, "id", "wrong", 1, None),
        (3, "id", "missing", 12, None),
        (3, "name", "missing", 6, None),
    ]
    assert found.types[3] == ("chip_id_card_front", "")
    assert (found.cards, found.right_cards, found.unread_cards) == (4, 1, 1)
    assert found.cost_per_right_card == found.cost is not None


def test_printed_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints its tables and writes a page, neither with text of a card; another output is held against the same."""
    here, there = _output(tmp_path / "here"), _output(tmp_path / "there", "LÊ THỮ")
    assert main(["evaluate", f"--output={here}", f"--truth={_truth(tmp_path)}", f"--compare={there}"]) == 0
    printed = capsys.readouterr().out
    page = Path(here, "evaluation.html").read_text()
    for text in (printed, page):
        assert not any(word in text for word in ("LÊ", "THỬ", "079300000001", "1990"))
        assert "By type and field" in text and f"Compared with {there}" in text
    (name,) = [line.split() for line in printed.split("Compared with")[1].splitlines() if " name " in line]
    assert name == ["chip_id_card_front", "name", "0", "0", "1", "1", "-50.0"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("url,name\na.jpg,LÊ\n", "must have a column 'uri' (found: url, name)"),
        ("uri,nmae\na.jpg,LÊ\n", "columns that are no fields of the contract: nmae"),
        ("uri,type\na.jpg,visa\n", "line 2: unknown type 'visa'"),
        ("uri,name\na.jpg,LÊ,THỬ\n", "line 2: more cells than columns"),
        ("uri,name\n,LÊ\n", "line 2: the uri is empty"),
        ("uri,name\n", "holds no card"),
        ("uri,name\nz.jpg,LÊ\n", "no image of --truth is in the tables"),
    ],
)
def test_mistakes(text: str, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mistake in a truth is told in a line, with its place, and ends with status 2."""
    output = _output(tmp_path)
    assert main(["evaluate", f"--output={output}", f"--truth={_truth(tmp_path, text)}"]) == 2
    assert shown in capsys.readouterr().err


def test_an_end_of_two_uris(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A URI that two images end with is refused."""
    answer = _answer(("passport", {"id": "B1"}))
    records = [ledger_record(FIRST, number, (f"s3://b/{number}/a.jpg",), response=answer) for number in range(2)]
    write_run(LocalFolder(str(tmp_path)), FIRST, records)
    assert main(["evaluate", f"--output={tmp_path}", f"--truth={_truth(tmp_path)}"]) == 2
    assert "uri a.jpg of --truth ends those of 2 images" in capsys.readouterr().err


def test_the_truth_of_the_demo() -> None:
    """cards/truth.csv says what cards/truth.json says of the bundled cards, field by field."""
    expected = []
    for uri, drawn in json.loads((_CARDS / "truth.json").read_text()).items():
        for card in drawn:
            texts = {one.name for one in DOCUMENTS[card["type"]] if one.kind in (Kind.TEXT, Kind.DATE)}
            expected.append(TrueCard(uri, card["type"], {k: v for k, v in card["info"].items() if k in texts and v}))
    assert read_truth(str(_CARDS / "truth.csv")) == expected
    with (_CARDS / "truth.csv").open() as file:
        assert {len(row) for row in csv.reader(file)} == {2 + len({name for one in expected for name in one.values})}
