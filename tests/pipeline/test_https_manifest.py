"""https URIs of a manifest are read, known by their version, and left to the endpoint by `--transfer=url`."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.pipeline import cli
from tests.servers import CardServer, success

pytestmark = pytest.mark.slow


class Host:
    """A web server over TLS; `asked` are method and path of the requests it got."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        asked: list[tuple[str, str]] = []

        class Handler(SimpleHTTPRequestHandler):
            def log_request(self, *_: Any) -> None:
                asked.append((self.command, self.path))

            def log_error(self, *_: Any) -> None:
                """What is gone is asked for on purpose."""

        self.asked = asked
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jpeg: bytes, pdf: bytes) -> Iterator[Host]:
    """Serves an image and a PDF, by a certificate that the runs trust."""
    folder, authority = tmp_path / "web", trustme.CA()
    folder.mkdir()
    folder.joinpath("card.jpg").write_bytes(jpeg)
    folder.joinpath("card.pdf").write_bytes(pdf)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setitem(cli.ENVIRONMENT, "REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    host = Host(folder, authority)
    thread = threading.Thread(target=host.server.serve_forever, args=(0.02,))
    thread.start()
    yield host
    host.server.shutdown()
    thread.join()
    host.server.server_close()


@pytest.mark.parametrize("transfer", ["file", "url"])
def test_https(host: Host, transfer: str, tmp_path: Path) -> None:
    """Each is a row with its label; what is gone is a dead letter; a second run reads that one alone."""
    lines = [{"uri": f"{host.url}/{name}", "customer": name} for name in ("card.jpg", "card.pdf", "gone.jpg")]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    by_url = transfer == "url"
    with CardServer(lambda _: success(("passport", {"id": "B1"}))) as server:
        message = [f"--input={tmp_path}/list.jsonl", f"--output={tmp_path}/out", f"--endpoint_url={server.base_url}"]
        message += [f"--transfer={transfer}", "--max_requests_per_second=0"]
        first = cli.run("backfill", *message)
        assert first.returncode == 0, first.stderr
        read = [path for method, path in host.asked if method == "GET"]
        sent = [part.content.decode() for got in server.received for part in got.images] if by_url else []
        host.asked.clear()
        again = cli.run("backfill", *message)
        assert again.returncode == 0, again.stderr
        assert [path for method, path in host.asked if method == "GET"] == ([] if by_url else ["/gone.jpg"])
    rows = cli.query(tmp_path / "out", "SELECT uris[1], labels['customer'] FROM passport ORDER BY ALL")
    answered = lines if by_url else lines[:2]  # by URL it is the endpoint that finds out
    assert rows == [(line["uri"], line["customer"]) for line in answered]
    failed_record = cli.query(tmp_path / "out", "SELECT DISTINCT code, uris[1] FROM dead_letters")
    assert failed_record == ([] if by_url else [("not_found", lines[2]["uri"])])
    assert sorted(read) == ([] if by_url else ["/card.jpg", "/card.pdf", "/gone.jpg"])
    assert sorted(sent) == ([line["uri"] for line in lines] if by_url else [])
