"""`bench calls`: CPU of each step of one image's way, alone in one thread, beside the plain `requests.post`."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.card_server import response
from benchmarks.contenders import open_session, read_and_call
from benchmarks.images import write_images
from benchmarks.machine import Endpoint, endpoint
from cardbeam.http.body import ImagePayload
from cardbeam.http.card_client import CardClient, Credentials
from cardbeam.inputs.image_check import check_image
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.model.record import JournalRecord
from cardbeam.model.request import item_id_of
from cardbeam.storage.folder import LocalFolder
from cardbeam.storage.web import describe_web
from schemas.response import parse_response

_OPERATION = "ekyc/card"
_IMAGES = 200


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Milliseconds of CPU an image, by step; medians of rounds."""
    parser = argparse.ArgumentParser(prog="run.sh bench calls", description=__doc__)
    parser.add_argument("--image_bytes", type=int, default=219_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, endpoint(images=Path(folder, "in")) as server:
        write_images(Path(folder, "in"), _IMAGES, asked.image_bytes)
        steps = _steps(Path(folder), server)
        rounds = [{name: _cpu_ms(step, inputs) for name, (step, inputs) in steps.items()} for _ in range(asked.rounds)]
    found = {name: round(median(each[name] for each in rounds), 3) for name in steps}
    return {"cpu_ms": found}


def _steps(folder: Path, server: Endpoint) -> dict[str, tuple[Callable[[Any], object], Sequence[Any]]]:
    url, paths = server.base_url, sorted((folder / "in").iterdir())
    contents = [path.read_bytes() for path in paths]
    sent = [[ImagePayload(content, "image/jpeg")] for content in contents]
    urls = [[ImagePayload(url=f"https://images.example/{path.name}")] for path in paths]
    by_file = CardClient(url, Credentials("bench", "bench"))
    by_base64 = CardClient(url, Credentials("bench", "bench"), transfer="base64")
    by_url = CardClient(url, Credentials("bench", "bench"), transfer="url")
    journal = LocalJournal(LocalFolder(str(folder / "out")), "bench")
    record = JournalRecord("a" * 32, "b" * 32, "succeeded", _OPERATION, (str(paths[0]),), (), 1, 2, response=response())
    session = open_session(1)
    return {
        "read": (Path.read_bytes, paths),
        "look": (check_image, contents),
        "head": (describe_web, [f"{server.images_url}/{path.name}" for path in paths]),
        "hash": (lambda content: item_id_of(_OPERATION, [content]), contents),
        "call by file": (lambda images: by_file.call(_OPERATION, images), sent),
        "call by base64": (lambda images: by_base64.call(_OPERATION, images), sent),
        "call by url": (lambda images: by_url.call(_OPERATION, images), urls),
        "parse": (lambda _: parse_response(record.response or b""), paths),
        "journal": (lambda _: journal.append(record), paths),
        "plain read and requests.post": (lambda path: read_and_call(session, url, str(path)), paths),
    }


def _cpu_ms(step: Callable[[Any], object], inputs: Iterable[Any]) -> float:
    taken = list(inputs)
    started_s = time.process_time()
    for one in taken:
        step(one)
    return 1000 * (time.process_time() - started_s) / len(taken)
