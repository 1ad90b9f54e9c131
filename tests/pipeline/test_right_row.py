"""Each row holds the answer for its own image, and each image its own bytes, whatever servers send."""

from __future__ import annotations

import json
import random
import ssl
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import trustme
from PIL import Image

from cardbeam.storage.web import HttpSourceError, describe_web, read_web
from tests.misbehaviour import ALL, NO_ANSWER, STILL_RIGHT, TOO_SLOW, ScriptedResponses
from tests.pipeline import cli
from tests.raw_server import RawServer, Request
from tests.servers import success

IMAGES = 500
TYPE = "passport"
SOMEBODY_ELSE = "somebody else"
TIMEOUT_S = 4.0

pytestmark = pytest.mark.slow


def name_of(number: int) -> str:
    return f"card-{number:04}"


def image_of(name: str) -> bytes:
    """An image that says whose it is."""
    file = BytesIO()
    colour = zlib.crc32(name.encode())
    Image.new("RGB", (24, 16), (colour & 255, colour >> 8 & 255, colour >> 16 & 255)).save(
        file, "JPEG", comment=f"NAME={name};".encode()
    )
    return file.getvalue()


def plan(seed: int, slow: int = len(TOO_SLOW)) -> dict[str, str]:
    """By image, how the server misbehaves on it: on a third of them, in some of the slow ways once."""
    rng = random.Random(seed)
    bad = [name_of(number) for number in rng.sample(range(IMAGES), IMAGES // 3)]
    others = rng.choices([*STILL_RIGHT, *NO_ANSWER], k=len(bad) - slow)
    return dict(zip(bad, [*rng.sample(sorted(TOO_SLOW), slow), *others], strict=True))


def answer_of(name: str) -> bytes:
    return success((TYPE, {"id": name})).body


def endpoint(ways: dict[str, str]) -> RawServer:
    def answer(connection: Any, request: Request) -> None:
        name = request.body.partition(b"NAME=")[2].partition(b";")[0].decode()
        answers = ScriptedResponses(answer_of(name), answer_of(SOMEBODY_ELSE))
        misbehave = ALL.get(ways.get(name, ""))
        if misbehave is None:
            connection.sendall(answers.right)
        else:
            misbehave(connection, answers)

    return RawServer(answer)


@pytest.mark.parametrize("in_flight", [1, 4, 64])
def test_each_row_is_its_own_image_s(in_flight: int, tmp_path: Path) -> None:
    """Of 500 images of which a third meet a server that misbehaves: no wrong row, and every one accounted for."""
    ways = plan(in_flight, slow=min(2 * in_flight, len(TOO_SLOW)))
    (tmp_path / "in").mkdir()
    for number in range(IMAGES):
        (tmp_path / "in" / f"{name_of(number)}.jpg").write_bytes(image_of(name_of(number)))
    with endpoint(ways) as server:
        run = cli.run(
            "backfill",
            f"--input={tmp_path}/in",
            f"--output={tmp_path}/out",
            f"--endpoint_url={server.base_url}",
            f"--max_in_flight={in_flight}",
            "--max_requests_per_second=0",
            "--max_attempts=1",
            "--timeout_s=1",
        )
    rows = cli.query(tmp_path / "out", f"SELECT id, uris FROM {TYPE}")
    failed_record = [row[0][0] for row in cli.query(tmp_path / "out", "SELECT uris FROM dead_letters")]
    assert [(found, uris) for found, uris in rows if uris != [f"{tmp_path}/in/{found}.jpg"]] == []
    (receipt,) = [json.loads(path.read_text()) for path in (tmp_path / "out" / "runs").glob("*/receipt.json")]
    ended = Counter(receipt["requests"])
    found = ended.pop("found")
    ended.pop("called", None)
    assert (found, ended.total(), run.returncode) == (IMAGES, IMAGES, 0), run.stderr
    names = Counter(found for found, _ in rows) + Counter(Path(uri).stem for uri in failed_record)
    assert names == Counter(map(name_of, range(IMAGES)))
    expected_dead = {name for name, way in ways.items() if way not in STILL_RIGHT}
    assert expected_dead <= {Path(uri).stem for uri in failed_record}


def web_server(ways: dict[str, str], tls: ssl.SSLContext | None) -> RawServer:
    """Images by name, each with an ETag of its own, to GET and to HEAD."""

    def answer(connection: Any, request: Request) -> None:
        name = Path(request.target).stem
        answers = ScriptedResponses(
            image_of(name), image_of(SOMEBODY_ELSE), f'ETag: "{name}"\r\n', 'ETag: "another"\r\n'
        )
        misbehave = ALL.get(ways.get(name, ""))
        if misbehave is not None:
            misbehave(connection, answers)
        elif request.method == "HEAD":
            connection.sendall(answers.right.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        else:
            connection.sendall(answers.right)

    return RawServer(answer, tls=tls)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_each_uri_has_its_own_bytes_and_version(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of as many URIs, checked and read by 16 threads: no bytes and no version of another one."""
    context = None
    if scheme == "https":
        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    ways = plan(7)
    with web_server(ways, context) as server, ThreadPoolExecutor(16) as executor:

        def fetch(number: int) -> tuple[str | None, str | None, bytes | None]:
            uri = f"{server.url}/{name_of(number)}.jpg"
            looked = describe_web(uri, TIMEOUT_S).version
            try:
                content, image = read_web(uri, 1 << 20, TIMEOUT_S)
            except HttpSourceError:
                return looked, None, None
            return looked, image.version, content

        found = dict(zip(map(name_of, range(IMAGES)), executor.map(fetch, range(IMAGES)), strict=True))
    of_others = {
        name: (looked, version)
        for name, (looked, version, content) in found.items()
        if not {looked, version} <= {None, f'"{name}"'} or content not in (None, image_of(name))
    }
    assert of_others == {}
    right = [name for name in found if ways.get(name) is None or ways[name] in STILL_RIGHT]
    assert [name for name in right if found[name][2] is None] == []
