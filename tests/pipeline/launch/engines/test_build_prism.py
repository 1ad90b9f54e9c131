"""Prism is built to listen on the loopback interface; where its listener is not as expected, nothing is built."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pipeline.launch.engines import build_prism
from pipeline.launch.engines.build_prism import PrismNotBuilt, loopback_only

LISTENS = 'lis, err := net.Listen("tcp", fmt.Sprintf(":%d", port))'
LISTENER = "vendor/github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism/internal/jobservices/server.go"
GO = r"""#!/bin/sh
echo "$@" >> LOG
case $2 in
  vendor)
    mkdir -p "$(dirname LISTENER)"
    echo 'SOURCE' > LISTENER
    ;;
esac
[ "$1" = build ] && cp LISTENER "$4"
exit 0
"""


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> Path:
    """A program `go` that vendors the given listener and builds it by copying; gives the log of its arguments."""
    program, log = tmp_path / "bin" / "go", tmp_path / "log"
    program.parent.mkdir()
    program.write_text(GO.replace("LISTENER", LISTENER).replace("LOG", str(log)).replace("SOURCE", source))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return log


def test_the_listener_gets_the_loopback_address() -> None:
    assert loopback_only(LISTENS) == 'lis, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))'


@pytest.mark.parametrize("source", ["", LISTENS + LISTENS, 'net.Listen("tcp", address)'])
def test_a_listener_of_another_form_is_an_error(source: str) -> None:
    """A later version may move it: then nobody believes that it is closed."""
    with pytest.raises(PrismNotBuilt, match="was not found"):
        loopback_only(source)


def test_what_is_built_is_the_changed_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = stand_in(tmp_path, monkeypatch, LISTENS)
    assert build_prism.main([str(tmp_path / "prism")]) == 0
    assert (tmp_path / "prism").read_text().strip() == loopback_only(LISTENS)
    assert [line.split()[:2] for line in log.read_text().splitlines()] == [
        ["mod", "init"],
        ["get", "-tool"],
        ["mod", "vendor"],
        ["build", "-trimpath"],
    ]


def test_without_go_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build_prism.main([str(tmp_path / "prism")]) == 4
    assert (capsys.readouterr().err.startswith("Prism was not built: go mod: "), list(tmp_path.iterdir())) == (True, [])
