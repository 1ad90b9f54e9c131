"""Card texts, signed URLs and credentials are in documents, ledger and journal alone, however a run ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.engines import secrets
from tests.pipeline import cli
from tests.servers import Answer, CardServer, failure, success
from tests.wire import Received

pytestmark = pytest.mark.slow

CARD, SIGNATURE, BODY = "PLANTED NGUYEN", "PLANTEDSIGNATURE", "PLANTEDBODY"
KEY, SECRET = "test-key", "test-secret-9f2c"
_HOLD_CARDS = ("documents", "ledger", "journal")
_IMAGES = 12


@pytest.fixture
def host(draw: Callable[..., bytes]) -> Iterator[str]:
    """A web server of images by number; those beyond are gone, with a text that is nobody's business."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = int(self.path.partition("?")[0].strip("/").partition(".")[0])
            is_there = number < _IMAGES
            content = draw(number) if is_there else BODY.encode()
            self.send_response(200 if is_there else 404)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{number}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing: what is gone is asked for on purpose."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _answer(got: Received, order: dict[str, int], latency_s: float) -> Answer:
    """Of six images one is refused, one gets a page with a card's text, one breaks a column, the others a passport."""
    kind = order.setdefault(got.key, len(order)) % 6
    if kind == 0:
        return failure("1")
    if kind == 1:
        return Answer(f"<html>{CARD}</html>".encode())
    info = {"full_name": CARD, "dob": CARD if kind == 2 else "01-02-1990", CARD: CARD}
    good = success(("passport", info))
    return Answer(good.body, headers=good.headers, latency_s=latency_s)


def _end_well(arguments: list[str]) -> list[str]:
    ended = cli.run("backfill", *arguments)
    assert ended.returncode == 0, ended.stderr
    return [ended.stdout, ended.stderr]


def _fail(arguments: list[str]) -> list[str]:
    """The disk of the output is gone under it: its folder of journals is a file."""
    output = Path(next(one for one in arguments if one.startswith("--output=")).partition("=")[2])
    output.mkdir()
    (output / "journal").write_text("in the way")
    ended = cli.run("backfill", *arguments)
    assert ended.returncode not in (0, None), ended.stderr
    return [ended.stdout, ended.stderr]


def _be_killed(arguments: list[str]) -> list[str]:
    child = cli.start("backfill", *arguments, "--max_requests_per_second=8")
    output = Path(next(one for one in arguments if one.startswith("--output=")).partition("=")[2])
    until_s = time.monotonic() + 120
    while not any(path.stat().st_size > 2000 for path in output.glob("journal/*/*")) and time.monotonic() < until_s:
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    return list(child.communicate())


@pytest.mark.parametrize("end", [_end_well, _fail, _be_killed])
def test_nothing_leaks(
    end: Callable[[list[str]], list[str]], host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In no byte of the rest of the output, of the temporary folder and of the streams, with debug logs."""
    temporary, output, order = tmp_path / "tmp", tmp_path / "out", dict[str, int]()
    temporary.mkdir()
    monkeypatch.setitem(cli.ENVIRONMENT, "TMPDIR", str(temporary))
    lines = [f"{host}/{number}.jpg?X-Amz-Signature={SIGNATURE}" for number in range(_IMAGES + 2)]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    with CardServer(lambda got: _answer(got, order, 0.1)) as server:
        to = [f"--input={tmp_path}/list.txt", f"--output={output}", f"--endpoint_url={server.base_url}"]
        streams = end([*to, "--max_in_flight=3", "--log_level=debug"])
        if end is _end_well:
            for command in ("status", "report", "publish", "runs"):
                ended = cli.run(command, f"--output={output}")
                streams += [ended.stdout, ended.stderr]
    rest = [(name, content) for name, content in secrets.files(output) if not _holds_cards(Path(name), output)]
    places = [*rest, *secrets.files(temporary), *((f"stream {n}", one.encode()) for n, one in enumerate(streams))]
    assert secrets.leaks(places, (CARD, SIGNATURE, BODY, KEY, SECRET)) == []
    if end is not _fail:
        held = [(name, one) for name, one in secrets.files(output) if _holds_cards(Path(name), output)]
        assert secrets.leaks(held, (SIGNATURE,))  # the scan finds what is there
        assert all(path.stat().st_mode & 0o077 == 0 for path in output.rglob("*"))
    if end is not _be_killed:
        assert list(temporary.iterdir()) == []


def _holds_cards(path: Path, output: Path) -> bool:
    return path.relative_to(output).parts[0] in _HOLD_CARDS
