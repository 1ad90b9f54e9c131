"""`bench calls`: CPU of each step of one picture's way, alone in one thread, beside the plain `requests.post`."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.card_server import reply
from benchmarks.contenders import open_session, read_and_call
from benchmarks.images import write_pictures
from benchmarks.machine import Endpoint, endpoint
from cardbeam.http.body import Sent
from cardbeam.http.card_client import CardClient, Credentials
from cardbeam.inputs.image_check import look_at
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.model.record import Settled
from cardbeam.model.request import item_id_of
from cardbeam.storage.folder import LocalFolder
from cardbeam.storage.web import describe_web
from schemas.response import parse_reply

_OPERATION = "ekyc/card"
_PICTURES = 200


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Milliseconds of CPU a picture, by step; medians of rounds."""
    parser = argparse.ArgumentParser(prog="run.sh bench calls", description=__doc__)
    parser.add_argument("--picture_bytes", type=int, default=219_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, endpoint(pictures=Path(folder, "in")) as server:
        write_pictures(Path(folder, "in"), _PICTURES, asked.picture_bytes)
        steps = _steps(Path(folder), server)
        rounds = [{name: _cpu_ms(step, inputs) for name, (step, inputs) in steps.items()} for _ in range(asked.rounds)]
    found = {name: round(median(each[name] for each in rounds), 3) for name in steps}
    return {"cpu_ms": found}


def _steps(folder: Path, server: Endpoint) -> dict[str, tuple[Callable[[Any], object], Sequence[Any]]]:
    url, paths = server.base_url, sorted((folder / "in").iterdir())
    contents = [path.read_bytes() for path in paths]
    sent = [[Sent(content, "image/jpeg")] for content in contents]
    urls = [[Sent(url=f"https://pictures.example/{path.name}")] for path in paths]
    by_file = CardClient(url, Credentials("bench", "bench"))
    by_base64 = CardClient(url, Credentials("bench", "bench"), transfer="base64")
    by_url = CardClient(url, Credentials("bench", "bench"), transfer="url")
    journal = LocalJournal(LocalFolder(str(folder / "out")), "bench")
    record = Settled("a" * 32, "b" * 32, "answered", _OPERATION, (str(paths[0]),), (), 1, 2, reply=reply())
    session = open_session(1)
    return {
        "read": (Path.read_bytes, paths),
        "look": (look_at, contents),
        "head": (describe_web, [f"{server.pictures_url}/{path.name}" for path in paths]),
        "hash": (lambda content: item_id_of(_OPERATION, [content]), contents),
        "call by file": (lambda pictures: by_file.call(_OPERATION, pictures), sent),
        "call by base64": (lambda pictures: by_base64.call(_OPERATION, pictures), sent),
        "call by url": (lambda pictures: by_url.call(_OPERATION, pictures), urls),
        "parse": (lambda _: parse_reply(record.reply or b""), paths),
        "journal": (lambda _: journal.append(record), paths),
        "plain read and requests.post": (lambda path: read_and_call(session, url, str(path)), paths),
    }


def _cpu_ms(step: Callable[[Any], object], inputs: Iterable[Any]) -> float:
    taken = list(inputs)
    started_s = time.process_time()
    for one in taken:
        step(one)
    return 1000 * (time.process_time() - started_s) / len(taken)
