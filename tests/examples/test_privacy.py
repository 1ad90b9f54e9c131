"""Each command of docs/privacy.md does what the page says, over an output of fictional people."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from cardbeam.erasure.selection.policy import parse_policy
from pipeline.__main__ import main
from tests.pipeline.nights import FIRST, write_nights

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "privacy.md").read_text()
EXAMPLE = ROOT / "examples" / "retention.toml"
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("./run.sh")]
_URI, _LABEL = "s3://photos/2026/11/1042-front.jpg", "customer_id=C-1042"


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, with values that the output holds."""
    write_nights(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numbers.txt").write_text("024850331992\n")
    for command in COMMANDS:
        here = command.replace("s3://tables/cards", f"{tmp_path}/out")
        here = here.replace("examples/", f"{ROOT}/examples/")
        here = here.replace(_URI, "s3://photos/2026/11/005-front.jpg").replace(_LABEL, "customer_id=C-007")
        assert main(shlex.split(here)[1:]) == 0, command
    receipt = json.loads((tmp_path / "out" / "runs" / FIRST / "receipt.json").read_text())
    assert (len(COMMANDS), receipt["requests"]["erased"]) == (8, 3)


@pytest.mark.parametrize("policy", [PAGE.partition("```toml\n")[2].partition("```")[0], EXAMPLE.read_text()])
def test_retention(policy: str) -> None:
    """The policies of the page and of the examples can be followed."""
    assert parse_policy(policy.encode())


def test_policy() -> None:
    """The policy is JSON, and names neither ledger nor journal."""
    text = PAGE.partition("```json\n")[2].partition("```")[0]
    resources = json.loads(text)["Statement"][0]["Resource"]
    assert [one.rpartition("cards/")[2] for one in resources] == ["documents/*", "dead_letters/*"]
