"""`--modified_since` considers images that were changed at or after a time, or whose time is not known; no others."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from cardbeam.config.settings import (
    EndpointSettings,
    InputSettings,
    OutputSettings,
    RateSettings,
    Settings,
    with_moments,
)
from cardbeam.inputs.listing import list_requests, modified_since
from cardbeam.model.request import ImageRef, Request
from cardbeam.storage.web import describe_web
from pipeline.__main__ import main
from pipeline.catalog.views import connect
from tests.raw_server import RawServer
from tests.servers import Answer, CardServer, success
from tests.wire import Received

pytestmark = pytest.mark.usefixtures("credentials")

SINCE = "2026-11-01T00:00+07:00"
SINCE_S = datetime(2026, 10, 31, 17, tzinfo=timezone.utc).timestamp()


def _changed(path: Path, content: bytes, changed_s: float) -> Path:
    path.write_bytes(content)
    os.utime(path, (changed_s, changed_s))
    return path


def _image(name: str, changed_s: float | None) -> ImageRef:
    return ImageRef(f"s3://b/{name}.jpg", 1, "v", changed_s)


def test_requests() -> None:
    """Of a pair one changed side is enough; without an option all are considered."""
    old, new, unknown = (_image(name, at) for name, at in (("o", SINCE_S - 0.001), ("n", SINCE_S), ("u", None)))
    pairs = [(old,), (new,), (unknown,), (old, old), (old, new), (unknown, old)]
    requests = [Request("ekyc/cards", images) for images in pairs]
    found = [one.images for one in modified_since(requests, SINCE)]
    assert found == [(new,), (unknown,), (old, new), (unknown, old)]
    assert list(modified_since(requests, "")) == requests


@pytest.mark.parametrize("form", ["folder", "manifest", "sample"])
def test_listing(form: str, tmp_path: Path) -> None:
    """A listing and the stat of a manifest's images tell the time; a file that is not there has none."""
    folder = tmp_path / "in"
    folder.mkdir()
    old, new = (_changed(folder / name, b"x", SINCE_S + by) for name, by in (("old.jpg", -1), ("new.jpg", 1)))
    manifest = tmp_path / "images.txt"
    manifest.write_text(f"{old}\n{new}\n{folder}/gone.jpg\n")
    source = str(manifest if form == "manifest" else folder)
    found = [one.uris for one in list_requests(source, InputSettings((source,), modified_since=SINCE))]
    gone = [(f"{folder}/gone.jpg",)] if form == "manifest" else []
    assert found == [(str(new),), *gone]


@pytest.mark.parametrize(
    ("header", "changed_s"),
    [
        ("Last-Modified: Sat, 31 Oct 2026 17:00:00 GMT\r\n", SINCE_S),
        ("Last-Modified: lately\r\n", None),
        ("Last-Modified: Sat, 99 Oct 99999 17:00:00 GMT\r\n", None),
        ("", None),
    ],
)
def test_web(header: str, changed_s: float | None) -> None:
    """A web server's time is that of its header, none where it is no time."""
    head = f'HTTP/1.1 200 OK\r\nETag: "1"\r\n{header}Content-Length: 1\r\nConnection: close\r\n\r\n'
    with RawServer(lambda to, _: to.sendall(head.encode())) as server:
        found = describe_web(f"http://127.0.0.1:{server.port}/a.jpg")
    assert (found.version, found.modified_s) == ('"1"', changed_s)


def test_runs(tmp_path: Path, draw: Callable[..., bytes], capsys: pytest.CaptureFixture[str]) -> None:
    """What is left out is neither planned nor found, and is sent by a run without the option; a run of none is fine."""
    images = tmp_path / "in"
    images.mkdir()
    _changed(images / "old.jpg", draw(1), SINCE_S - 1)
    _changed(images / "new.jpg", draw(2), SINCE_S + 1)

    def answer(got: Received) -> Answer:
        return success(("passport", {"id": "1"}))

    with CardServer(answer) as server:
        to = [f"--input={images}/*.jpg", f"--output={tmp_path}/out"]
        run = ["backfill", *to, f"--endpoint_url={server.base_url}", "--max_requests_per_second=0"]
        since = f"--modified_since={SINCE}"
        assert main(["plan", *to, since, "--format=json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert main([*run, since, "--run_id=1"]) == 0
        assert main([*run, "--modified_since=2026-11-02", "--run_id=2"]) == 0
        assert main([*run, "--run_id=3"]) == 0
        assert len(server.received) == 2
        capsys.readouterr()
        assert main(["plan", *to, "--modified_since=2026-11-02", "--format=json"]) == 0
        later = json.loads(capsys.readouterr().out)
    assert (plan["found"], plan["to_call"], later["found"]) == (1, 1, 0)
    with connect(str(tmp_path / "out")) as views:
        counts = views.sql("SELECT requests.found, requests.called, requests.skipped FROM runs ORDER BY run_id")
        assert counts.fetchall() == [(1, 1, 0), (0, 0, 0), (2, 1, 1)]


@pytest.mark.parametrize(
    ("date", "says"),
    [
        ("2999-01-01", "--modified_since is 2999-01-01, which is to come: no image would be considered"),
        ("soon", "--modified_since is 'soon', expected a date, 2026-11-01 or 2026-11-01T18:00"),
    ],
)
@pytest.mark.parametrize("command", ["backfill", "plan", "watch"])
def test_what_is_no_time(
    command: str, date: str, says: str, tmp_path: Path, jpeg: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A date that has not come, or is none, is refused before anything is listed."""
    (tmp_path / "a.jpg").write_bytes(jpeg)
    assert main([command, f"--input={tmp_path}/*.jpg", f"--output={tmp_path}/out", f"--modified_since={date}"]) == 2
    assert says in capsys.readouterr().err


def test_nothing_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A glob that names no image of any age is still an error."""
    for command in ("backfill", "plan"):
        assert (
            main([command, f"--input={tmp_path}/*.jpg", f"--output={tmp_path}/out", f"--modified_since={SINCE}"]) == 2
        )
        assert "holds no image" in capsys.readouterr().err


def test_local_time_becomes_a_moment() -> None:
    """Workers elsewhere mean the same by it as the launch."""
    settings = Settings(
        InputSettings(modified_since="2026-11-01"), EndpointSettings(), RateSettings(), OutputSettings()
    )
    moment = datetime(2026, 11, 1).astimezone().isoformat()
    now = datetime.now().astimezone()
    assert with_moments(settings, now) == replace(settings, input=InputSettings(modified_since=moment))
