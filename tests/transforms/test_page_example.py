"""The example of ReadCards in docs/own-pipeline.md runs as it stands there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.servers import CardServer, success

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-pipeline.md"
URL = "http://localhost:8000"


def example() -> str:
    """The code block of the page."""
    return PAGE.read_text().split("```python\n")[1].split("```")[0]


@pytest.mark.usefixtures("credentials")
def test_the_example_runs(tmp_path: Path, draw: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes passports and dead letters; run again, it makes no call."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        Path(f"{number}.jpg").write_bytes(draw(number))
    Path("none.jpg").write_bytes(b"no image")
    Path("images.txt").write_text("".join(f"{path}\n" for path in sorted(tmp_path.glob("*.jpg"))))
    with CardServer(lambda got: success(("passport", {"id": got.key[:12]}))) as server:
        code = example().replace(URL, server.base_url)
        assert (code.count("\n") <= 10, URL in example()) == (True, True)
        for _ in range(2):
            exec(compile(code, str(PAGE), "exec"), {})
        assert sorted(server.calls.values()) == [1, 1, 1]
    rows = {
        name: sum(pq.read_metadata(file).num_rows for file in tmp_path.glob(f"{name}-*"))
        for name in ("passports", "failed")
    }
    assert rows == {"passports": 3, "failed": 1}
