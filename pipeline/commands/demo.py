"""The first look: the bundled cards, the embedded endpoint and a whole backfill on this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder
from cardbeam.storage.uris import local_path
from pipeline.catalog import views
from pipeline.cli.exit_codes import UsageError
from pipeline.cli.parser import Parser
from pipeline.cli.private_folder import private_folder
from pipeline.cli.signals import cleaned_up
from pipeline.cli.terminal.program import program
from pipeline.commands import backfill
from pipeline.runs.registry import read_run, run_ids

_HERE = Path(__file__).resolve().parents[2]
_CARDS = _HERE / "cards"
_INPUTS = tuple(f"{_CARDS}/*{suffix}" for suffix in (".jpg", ".png", ".pdf"))
_OUTPUT = _HERE / "output" / "demo"
_ENDPOINT_STARTS_WITHIN_S, _ENDPOINT_STOPS_WITHIN_S = 60.0, 10.0
_QUERY = (
    "SELECT name, dob, address_town AS province, due_date, round(name_confidence, 2) AS sure "
    "FROM chip_id_card_front WHERE province <> '' AND due_date IS NOT NULL ORDER BY name LIMIT 5"
)


def main(arguments: Sequence[str]) -> int:
    """A backfill over the bundled cards, read by the embedded endpoint on a free port of this machine."""
    parser = Parser(prog=f"{program()} demo", description=main.__doc__)
    parser.add_argument(
        "--output", default=str(_OUTPUT), help="Where the tables go; the last demo's are removed. Default: %(default)s"
    )
    asked = parser.parse_all(arguments)
    if not _CARDS.is_dir():
        raise UsageError(f"the cards are not in {_CARDS}: they are no part of the package; run the demo in a checkout")
    output = _empty(asked.output)
    os.environ["CARD_API_KEY"], os.environ["CARD_API_SECRET"] = "demo", secrets.token_hex(16)
    with endpoint() as base_url:
        status = backfill.main(
            [
                *(f"--input={glob}" for glob in _INPUTS),
                f"--output={output}",
                f"--endpoint_url={base_url}",
                "--max_in_flight=4",
            ]
        )
    if status == 0:
        _show(output)
    return status


def _empty(asked: str) -> Path:
    """Remove what the last demo wrote, and nothing else: another output holds answers that were paid for."""
    output = local_path(asked)
    if output is None or output.is_file():
        raise UsageError(f"--output {asked} is no folder on this machine, where a demo's tables go")
    if output.exists():
        if output != _OUTPUT and any(output.iterdir()) and not _is_of_demo(output):
            raise UsageError(f"--output {output} is neither empty nor a demo's: give another, or remove it first")
        shutil.rmtree(output)
    return output


def _is_of_demo(output: Path) -> bool:
    """Whether all runs there asked for the bundled cards."""
    folder = LocalFolder(str(output))
    try:
        runs = [read_run(folder, run_id) for run_id in run_ids(folder)]
    except DamagedFile:  # another program's run.json
        return False
    return bool(runs) and all(run is not None and tuple(run.settings.get("input", ())) == _INPUTS for run in runs)


@contextmanager
def endpoint(*arguments: str) -> Iterator[str]:
    """The embedded endpoint as a child process on a free port; its base URL."""
    with private_folder() as folder:
        port_file = Path(folder, "url")
        child = subprocess.Popen([sys.executable, "-m", "endpoint", "--port=0", f"--port_file={port_file}", *arguments])
        with cleaned_up(partial(_stop, child)):
            yield _wait_for(child, port_file)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_ENDPOINT_STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _wait_for(child: subprocess.Popen[bytes], port_file: Path) -> str:
    deadline_s = time.monotonic() + _ENDPOINT_STARTS_WITHIN_S
    while time.monotonic() < deadline_s:
        if child.poll() is not None:
            raise UsageError("the embedded endpoint did not start")
        if port_file.exists() and (base_url := port_file.read_text().strip()):
            return base_url
        time.sleep(0.05)
    raise UsageError(f"the embedded endpoint did not start within {_ENDPOINT_STARTS_WITHIN_S:.0f} s")


def _show(output: Path) -> None:
    print(f"\n  {_QUERY}\n")
    views.connect(str(output)).sql(_QUERY).show()
    print(
        "next:\n"
        f'  ./run.sh sql --output={output} "SELECT code, message, uris FROM dead_letters"\n'
        "  CARD_API_KEY=me CARD_API_SECRET=mine ./run.sh endpoint --port=8000\n"
        "  CARD_API_KEY=me CARD_API_SECRET=mine ./run.sh backfill --input='images/**/*.jpg' --output=tables "
        "--endpoint_url=http://127.0.0.1:8000/api/v2"
    )
