"""`erase` removes a person of a real output: no later command calls for the images again, or tells of the person."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.runs.lock import run_lock
from tests.byte_search import files_with
from tests.servers import Answer, CardServer, failure, key_of, success
from tests.wire import Received

pytestmark = pytest.mark.usefixtures("credentials")
_NUMBERS = [f"0792000012{number:02}" for number in range(8)]


class _Night:
    """Images of several persons, a manifest with their labels, an endpoint that reads them, and an output."""

    def __init__(self, root: Path, draw: Callable[..., bytes]) -> None:
        self.images, self.output, self._draw = root / "in", root / "out", draw
        self.images.mkdir()
        self._numbers: dict[str, str] = {}
        self.rows: list[str] = []
        for number, person in enumerate(_NUMBERS):
            self.put(f"customer-{person}", number, person)
        self.put("unreadable-of-customer", 50, "")
        self.put("another-of-customer", 51, _NUMBERS[0])
        self.put("copy-of-customer", 0, _NUMBERS[0])

    def put(self, name: str, drawn: int, person: str) -> None:
        """An image, with the person that it shows."""
        content = self._draw(drawn)
        (self.images / f"{name}.jpg").write_bytes(content)
        self._numbers[key_of(content)] = person
        self.rows.append(f"{self.images}/{name}.jpg,C-{person or _NUMBERS[0]}")

    def answer(self, got: Received) -> Answer:
        """What is on the image."""
        person = self._numbers[got.key]
        return success(("passport", {"id": f"B{person[-7:]}", "person_number": person})) if person else failure("1")

    def backfill(self, server: CardServer, *more: str) -> int:
        """Process the manifest."""
        manifest = self.images.parent / "manifest.csv"
        manifest.write_text("\n".join(["uri,customer", *self.rows]))
        arguments = [f"--input={manifest}", f"--output={self.output}", f"--endpoint_url={server.base_url}"]
        return main(["backfill", *arguments, "--max_requests_per_second=0", *more])

    def receipts(self) -> list[dict[str, Any]]:
        """Of all runs, oldest first."""
        return [json.loads(path.read_text()) for path in sorted(self.output.glob("runs/*/receipt.json"))]


@pytest.fixture
def night(tmp_path: Path, draw: Callable[..., bytes]) -> _Night:
    """Eight persons, one of them on three images and behind one that could not be read."""
    return _Night(tmp_path, draw)


def _counts(receipt: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in receipt["requests"].items() if count and name != "called"}


def test_erased_and_not_sent_again(night: _Night) -> None:
    """By number with all other images of the person; a rename, a copy, a replay and a publish bring nothing back."""
    person = _NUMBERS[0]
    texts = [person, f"B{person[-7:]}", f"C-{person}", "another-of-customer", "copy-of-customer", "customer-" + person]
    with CardServer(night.answer) as server:
        assert night.backfill(server, "--run_id=a") == 0
        calls = sum(server.calls.values())
        (night.images / "numbers.txt").write_text(f"{person}\n")
        numbers, label = f"--number_file={night.images}/numbers.txt", f"--label=customer=C-{person}"
        arguments = ["erase", f"--output={night.output}", numbers, label]
        before = {path: path.read_bytes() for path in night.output.rglob("*") if path.is_file()}
        assert main([*arguments, "--dry_run"]) == 0
        assert {path: path.read_bytes() for path in night.output.rglob("*") if path.is_file()} == before
        assert main(arguments) == 0
        assert files_with(night.output, texts) == {}
        assert _counts(night.receipts()[0]) == {"found": 11, "succeeded": 7, "erased": 4}
        night.put("renamed-of-customer", 0, person)
        for run_id in ("b", "c"):
            assert night.backfill(server, f"--run_id={run_id}") == 0
            assert files_with(night.output, [*texts, "renamed-of-customer"]) == {}
        assert main(["replay", f"--output={night.output}", f"--endpoint_url={server.base_url}"]) == 0
        assert main(["publish", f"--output={night.output}"]) == 0
        assert sum(server.calls.values()) == calls
        assert files_with(night.output, texts) == {}
        a, b, c = (one for one in night.receipts() if one["run_id"] in "abc")
        assert _counts(a) == {"found": 11, "succeeded": 7, "erased": 4}
        assert _counts(b) == _counts(c) == {"found": 12, "skipped": 12}
        assert all(one["reconciled"] for one in night.receipts())
        item_ids = json.loads(next(night.output.glob("erasures/*/certificate.json")).read_text())["item_ids"]
        assert main(["erase", f"--output={night.output}", "--forget", *(f"--item_id={one}" for one in item_ids)]) == 0
        assert night.backfill(server, "--run_id=e") == 0
        assert sum(server.calls.values()) == calls + 3
        assert all(one["reconciled"] for one in night.receipts())


def test_planned_while_a_run_is_in_progress(night: _Night, capsys: pytest.CaptureFixture[str]) -> None:
    """The next command over the output carries it out."""
    with CardServer(night.answer) as server:
        assert night.backfill(server, "--run_id=a") == 0
        arguments = ["erase", f"--output={night.output}", f"--uri={night.images}/customer-{_NUMBERS[3]}.jpg"]
        with run_lock(LocalFolder(str(night.output)), "watch"):
            assert main(arguments) == 3
        assert "carries it out" in capsys.readouterr().out
        assert files_with(night.output, [_NUMBERS[3]])
        assert night.backfill(server, "--run_id=b") == 0
    assert files_with(night.output, [_NUMBERS[3]]) == {}
    assert _counts(night.receipts()[0]) == {
        "found": 11,
        "duplicates": 1,
        "succeeded": 8,
        "dead_lettered": 1,
        "erased": 1,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to erase"),
        (["--label=customer"], "expected KEY=VALUE"),
        (["--uri=a", "--forget"], "--forget takes --item_id alone"),
        (["--number_file=/nowhere"], "cannot be read"),
        (["--item_id=" + "0" * 32], "no image in --output"),
        (["--number=079200001234"], "nknown option --number"),
    ],
)
def test_what_cannot_be_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    """Is told in a line, and nothing is written."""
    (tmp_path / "out").mkdir()
    assert main(["erase", f"--output={tmp_path}/out", *options]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("out/erasures"))
