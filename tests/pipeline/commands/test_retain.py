"""`retain` removes what is too old from a real output, leaves what is younger, and nothing is called for again."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.catalog.views import connect
from pipeline.commands.retain import main as retain
from pipeline.runs.lock import run_lock
from tests.byte_search import files_with
from tests.servers import Answer, CardServer, failure, key_of, success
from tests.wire import Received

pytestmark = pytest.mark.usefixtures("credentials")
_AGE = timedelta(days=10)
_POLICY = """
[[rule]]
name = "passports"
documents = 10
types = ["passport"]
[[rule]]
name = "failures"
dead_letters = 10
"""
_ALONE = """
[[rule]]
name = "all"
responses = 10
[[rule]]
name = "some"
thumbnails = 10
types = ["passport"]
labels = ["customer=C-old-1", "customer=C-young-3"]
"""
_THUMBNAIL = b"the face of a fictional person "


class _Killed(BaseException):
    """The process is gone: no handler of errors runs on."""


class _Output:
    """Two runs over images of fictional people, with the moment between them, at which the first is old enough."""

    def __init__(self, root: Path, draw: Callable[..., bytes], server: CardServer) -> None:
        self.images, self.output, self._draw, self._server = root / "in", root / "out", draw, server
        self.images.mkdir()
        self.rows: list[str] = []
        for number in (0, 1, 2, 90):
            self.put(f"old-{number}", number)
        self.backfill("a")
        self.old_at = datetime.now(timezone.utc) + _AGE
        for number in (3, 4, 91):
            self.put(f"young-{number}", number)
        self.put("old-copy", 0)
        self.backfill("b")
        self.policy = root / "retention.toml"
        self.policy.write_text(_POLICY)

    def put(self, name: str, drawn: int) -> None:
        """An image with a label."""
        (self.images / f"{name}.jpg").write_bytes(self._draw(drawn))
        self.rows.append(f"{self.images}/{name}.jpg,C-{name}")

    def backfill(self, run_id: str, *more: str) -> None:
        """Process the manifest."""
        manifest = self.images.parent / "manifest.csv"
        manifest.write_text("\n".join(["uri,customer", *self.rows]))
        assert main(["backfill", f"--input={manifest}", *self.options(), f"--run_id={run_id}", *more]) == 0

    def options(self) -> list[str]:
        """What each command that calls is told."""
        arguments = [f"--output={self.output}", f"--endpoint_url={self._server.base_url}"]
        return [*arguments, "--max_requests_per_second=0"]

    def retain(self, *more: str, clock: Callable[[], datetime] | None = None) -> int:
        """Run the command at the moment at which the first run is old enough."""
        arguments = [f"--output={self.output}", f"--policy={self.policy}", *more]
        return retain(arguments, clock or (lambda: self.old_at))

    def old_texts(self) -> list[str]:
        """What is told of the images of the first run."""
        return ["N00000", "N00001", "N00002", "old-0", "old-1", "old-2", "old-90", "old-copy"]

    def young(self) -> list[Any]:
        """The rows of all others."""
        view = connect(str(self.output))
        tables = ("documents", "passport", "dead_letters", "ledger")
        rows = [row for table in tables for row in view.sql(f"FROM {table} ORDER BY ALL").fetchall()]
        return [row for row in rows if "young" in str(row)]

    def counts(self) -> dict[str, dict[str, int]]:
        """What each receipt counts."""
        receipts = [json.loads(path.read_text()) for path in sorted(self.output.glob("runs/*/receipt.json"))]
        assert all(one["reconciled"] for one in receipts)
        return {
            one["run_id"]: {name: n for name, n in one["requests"].items() if n and name != "called"}
            for one in receipts
        }

    def calls(self) -> int:
        """How many the endpoint got."""
        return sum(self._server.calls.values())


@pytest.fixture
def output(tmp_path: Path, draw: Callable[..., bytes]) -> Any:
    """An endpoint that reads a number off each image, and both runs."""
    numbers = {key_of(draw(number)): number for number in (0, 1, 2, 3, 4, 90, 91)}

    def answer(got: Received) -> Answer:
        number = numbers[got.key]
        image = base64.b64encode(_THUMBNAIL * 9 + str(number).encode()).decode()
        return failure("1") if number >= 90 else success(("passport", {"id": f"N0000{number}", "image": image}))

    with CardServer(answer) as server:
        yield _Output(tmp_path, draw, server)


def _files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_is_too_old_goes(output: _Output, capsys: pytest.CaptureFixture[str]) -> None:
    """From every byte; the rest is equal, receipts add up, views answer, and a backfill calls for nothing."""
    before, young, calls = _files(output.output), output.young(), output.calls()
    assert output.retain("--dry_run") == 0
    assert _files(output.output) == before
    printed = capsys.readouterr().out
    assert "passports: 3 images with a document older than 10 days\nfailures: 1 images without" in printed
    assert "4 images, 0 responses and 0 thumbnails of" in printed
    assert output.retain() == 0
    assert files_with(output.output, output.old_texts()) == {}
    assert output.young() == young
    assert output.counts() == {
        "a": {"found": 4, "erased": 4},
        "b": {"found": 8, "skipped": 4, "succeeded": 2, "dead_lettered": 1, "erased": 1},
    }
    (path,) = output.output.glob("erasures/*/*")
    certificate = json.loads(path.read_text())
    assert certificate["policy"].startswith(f"{output.policy} sha256:")
    assert certificate["selected_by"] == {"passports: documents": 3, "failures: dead_letters": 1}
    assert certificate["rows_after"] == {"documents": 0, "dead_letters": 0, "ledger": 0}
    after = _files(output.output / "ledger")
    assert output.retain() == 0
    assert _files(output.output / "ledger") == after
    assert main(["publish", f"--output={output.output}"]) == 0
    output.backfill("c")
    assert output.calls() == calls
    assert output.counts()["c"] == {"found": 8, "skipped": 8}
    assert files_with(output.output, output.old_texts()) == {}
    assert output.young() == young


def _tables(output: _Output) -> list[list[Any]]:
    view = connect(str(output.output))
    tables = ("passport", "dead_letters", "requests", "places", "latest_documents")
    return [view.sql(f"FROM {table} ORDER BY ALL").fetchall() for table in tables]


def _held(output: _Output) -> dict[str, tuple[bool, bool]]:
    """Of each image with a document, whether its response and its thumbnail are there."""
    asked = """
        SELECT ledger.labels['customer'], response IS NOT NULL, image IS NOT NULL
        FROM ledger JOIN passport USING (run_id, item_id) WHERE outcome = 'succeeded'
    """
    views = connect(str(output.output), only_tables=["ledger", "passport"])
    return {customer: (*held,) for customer, *held in views.sql(asked).fetchall()}


def test_responses_and_thumbnails_alone(output: _Output, capsys: pytest.CaptureFixture[str]) -> None:
    """What is older is gone, what is younger is untouched; tables stay, and are published again; nothing is called."""
    output.policy.write_text(_ALONE)
    calls, counts, young = output.calls(), output.counts(), output.young()
    view = "SELECT * EXCLUDE image FROM passport ORDER BY ALL"
    documents = connect(str(output.output), only_tables=["passport"]).sql(view).fetchall()
    assert output.retain("--dry_run") == 0
    printed = capsys.readouterr().out
    assert "all: 4 responses older than 10 days\nsome: 1 thumbnails older than" in printed
    assert output.retain() == 0
    expected = {f"C-old-{number}": (False, number != 1) for number in range(3)}
    expected |= {f"C-young-{number}": (True, True) for number in (3, 4)}
    assert _held(output) == expected
    assert output.young() == young
    assert connect(str(output.output), only_tables=["passport"]).sql(view).fetchall() == documents
    assert output.counts() == counts
    (path,) = output.output.glob("erasures/*/*")
    certificate = json.loads(path.read_text())
    assert certificate["item_ids"] == []
    assert certificate["rows_before"] == {
        "documents": 0,
        "dead_letters": 0,
        "ledger": 0,
        "responses": 4,
        "thumbnails": 1,
    }
    assert set(certificate["rows_after"].values()) == {0}
    after, tables = _files(output.output / "ledger"), _tables(output)
    assert output.retain() == 0
    assert _files(output.output / "ledger") == after
    assert main(["publish", f"--output={output.output}"]) == 0
    assert (_tables(output), output.counts()) == (tables, counts)
    output.backfill("c")
    assert (output.calls(), output.counts()["c"]) == (calls, {"found": 8, "skipped": 8})
    before_replay = f"--reread_before={datetime.now().isoformat(timespec='seconds')}"
    assert main(["replay", *output.options()]) == 0
    assert output.calls() == calls + 2  # both failures
    output.backfill("d", before_replay)
    assert output.calls() == calls + 2 + 5
    (output.policy.parent / "numbers.txt").write_text("N00001")
    assert main(["erase", f"--output={output.output}", f"--number_file={output.policy.parent}/numbers.txt"]) == 0
    assert main(["publish", f"--output={output.output}"]) == 0
    assert files_with(output.output, ["N00001", "C-old-1"]) == {}


def test_a_document_whose_response_was_dropped_is_missing(output: _Output, capsys: pytest.CaptureFixture[str]) -> None:
    """Publishing stops before anything is deleted, and names the file."""
    output.policy.write_text("[[rule]]\nresponses = 10")
    assert output.retain() == 0
    (path,) = output.output.glob("documents/type=passport/run_id=a/*.parquet")
    path.unlink()
    before = _files(output.output / "documents")
    assert main(["publish", f"--output={output.output}"]) == 4
    assert f"{path.relative_to(output.output)} is missing, and the responses" in capsys.readouterr().err
    assert _files(output.output / "documents").keys() >= before.keys()


def test_killed_once_it_is_planned(output: _Output) -> None:
    """The same command finishes, and a second certificate is not written."""
    moments = iter([output.old_at])

    def clock() -> datetime:
        if (now := next(moments, None)) is None:
            raise _Killed
        return now

    young = output.young()
    with pytest.raises(_Killed):
        output.retain(clock=clock)
    assert files_with(output.output, ["N00001"])
    assert output.retain() == 0
    assert files_with(output.output, output.old_texts()) == {}
    assert output.young() == young
    assert [path.name for path in output.output.glob("erasures/*/*")] == ["certificate.json"]


def test_planned_while_a_run_is_in_progress(output: _Output, capsys: pytest.CaptureFixture[str]) -> None:
    """What was read goes with the next command; dead letters, which may be sent again meanwhile, stay."""
    with run_lock(LocalFolder(str(output.output)), "watch"):
        assert output.retain() == 3
    assert "carries it out" in capsys.readouterr().out
    output.backfill("c")
    assert set(files_with(output.output, output.old_texts())) != set()
    assert files_with(output.output, ["N00000", "N00001", "N00002", "old-0.jpg", "old-copy"]) == {}
    dead_letters = connect(str(output.output), only_tables=["dead_letters"]).sql("FROM dead_letters")
    assert len(dead_letters.fetchall()) == 2


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (None, "--policy is missing"),
        ("/nowhere.toml", "--policy /nowhere.toml cannot be read: No such file"),
        ("[[rule]]\nage = 3", "policy.toml: rule 1: unknown key 'age'"),
        ("[[rule]]", "policy.toml: rule 1: no age"),
    ],
)
def test_what_cannot_be_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], policy: str | None, message: str
) -> None:
    """Is told in a line, and nothing is written."""
    (tmp_path / "out").mkdir()
    (tmp_path / "policy.toml").write_text(policy or "")
    given = policy if policy and policy.startswith("/") else f"{tmp_path}/policy.toml"
    assert main(["retain", f"--output={tmp_path}/out", *([f"--policy={given}"] if policy else [])]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert len(printed.splitlines()) == 1
    assert not list(tmp_path.glob("out/*"))
