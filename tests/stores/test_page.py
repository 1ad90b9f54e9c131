"""Each command of the page on object storage does what the page says."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest

from cardbeam.storage.folder import open_folder
from tests.pipeline import cli
from tests.servers import CardServer
from tests.stores.conftest import Bucket
from tests.stores.marks import on_s3
from tests.stores.runs import answer_by_content

pytestmark = [pytest.mark.slow, on_s3]

PAGE = (cli.ROOT / "docs" / "object-storage.md").read_text().replace("\\\n", "")
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("./run.sh")]
CALLS = (0, 3, 0, 0, 2, 1, 1, 2, 0)
"""How many calls each makes: what is answered by then is not called again, by whichever transfer."""


def test_the_page(bucket: Bucket, draw: Callable[..., bytes]):
    names = ("2026/11/01/a.jpg", "2026/11/02/b.jpg", "2026/11/c.jpg", "2026/12/d.jpg", "2026/12/e.pdf", "lists/f.jpg")
    sides = ("pairs/1_front.jpg", "pairs/1_back.jpg", "sides/recto/2.jpg", "sides/verso/2.jpg", "sides/recto/3.jpg")
    images = open_folder(bucket.uri)
    for number, name in enumerate((*names, *sides)):
        images.write(name, draw(number, "PDF" if name.endswith(".pdf") else "JPEG"))
    images.write("lists/images.csv", f"uri,customer\n{bucket.uri}/lists/f.jpg,c1\n".encode())
    calls = []
    with CardServer(answer_by_content()) as server:
        for command in COMMANDS:
            _, command_name, *arguments = shlex.split(command)
            more = [f"--endpoint_url={server.base_url}"] if command_name in ("backfill", "plan") else []
            before = server.calls.total()
            done = cli.run(command_name, *arguments, *more)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            calls.append(server.calls.total() - before)
    assert tuple(calls) == CALLS
