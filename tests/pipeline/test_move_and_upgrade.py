"""An output works from wherever it was copied to, and one of an older format is refused by the name of its file."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.__main__ import main
from tests.pipeline.cli import query
from tests.servers import CardServer, failure, success

DATA = Path(__file__).resolve().parents[1] / "data"
OLD_FORMATS = ("output-553d9a0.tar.gz",)
"""Outputs of three images each, as earlier commits wrote them; add one for each later format."""

pytestmark = pytest.mark.usefixtures("credentials")


def draw_all(folder: Path, draw: Callable[..., bytes], count: int) -> str:
    """So many images; the glob of them."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        path = folder / f"{number}.jpg"
        if not path.exists():
            path.write_bytes(draw(number))
    return f"--input={folder}/*.jpg"


def test_a_moved_output_works_from_its_new_place(
    tmp_path: Path, draw: Callable[..., bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is paid again, and tables, report, status and the old receipt are there."""
    images = draw_all(tmp_path / "in", draw, 3)
    with CardServer(lambda got: success(("passport", {"id": got.key[:12]}))) as server:
        shown = [images, f"--endpoint_url={server.base_url}"]
        assert main(["backfill", *shown, f"--output={tmp_path}/out", "--run_id=first"]) == 0
        shutil.move(tmp_path / "out", tmp_path / "moved")
        draw_all(tmp_path / "in", draw, 4)
        moved = f"--output={tmp_path}/moved"
        assert main(["backfill", *shown, moved, "--run_id=second"]) == 0
        assert len(server.received) == 4
    assert query(tmp_path / "moved", "SELECT count(*), count(DISTINCT item_id) FROM passport") == [(4, 4)]
    capsys.readouterr()
    for command in (["status", moved], ["runs", moved], ["report", moved, "--run_id=first"], ["publish", moved]):
        assert main(command) == 0
    assert f"{tmp_path}/out" not in capsys.readouterr().out


@pytest.mark.parametrize("name", OLD_FORMATS)
def test_an_output_of_an_older_format_is_refused_by_name(
    tmp_path: Path, draw: Callable[..., bytes], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """By each command that pays or writes, before a call; those that read name it too. Nothing of it is changed."""
    output = tmp_path / "out"
    with tarfile.open(DATA / name) as packed:
        packed.extractall(output)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    images, old = draw_all(tmp_path / "in", draw, 1), f"--output={output}"
    with CardServer(lambda got: failure("1")) as server:
        for command in (
            ["backfill", images, old, f"--endpoint_url={server.base_url}"],
            ["replay", old, f"--endpoint_url={server.base_url}"],
            ["publish", old],
            ["sql", old, "SELECT 1"],
        ):
            assert main(command) == 4, command
            assert "runs/old/" in (stated := capsys.readouterr().err)
            assert "is of an older format, that this version does not read" in stated
        assert server.received == []
    found = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert {path: found[path] for path in before} == before
