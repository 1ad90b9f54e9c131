"""A worker as a process of an engine: a virtual environment over the packages of the image, then Beam's boot program.

That one fetches what a job brings by `--setup_file`, installs it there, and starts Python.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from tests.engines import install

_ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = """#!/bin/sh
set -e
own=$(mktemp -d {folder}/worker.XXXXXX)
{python} -m venv --without-pip "$own/venv"
export PATH="$own/venv/bin:$PATH" PYTHONPATH={path} RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 TMPDIR="$own"
exec {boot} --semi_persist_dir="$own" "$@"
"""


def worker_options(folder: Path, *, installs: bool = True) -> list[str]:
    """The options that have an engine start such workers, with a script for it in `folder`.

    They install what the job brings; or our code is there, as in an image of ours.

    Raises:
        NotInstalled: there is no boot program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = _SCRIPT.format(
        folder=shlex.quote(str(folder)),
        python=shlex.quote(sys.executable),
        path=shlex.quote(str(install.worker_packages()) + ("" if installs else f":{_ROOT}")),
        boot=shlex.quote(str(install.boot())),
    )
    script = folder / "worker.sh"
    script.write_text(said)
    script.chmod(0o755)
    command = json.dumps({"command": str(script)})
    return [
        "--environment_type=PROCESS",
        f"--environment_config={command}",
        "--environment_cache_millis=600000",  # else each stage starts its workers anew
        *([f"--setup_file={_ROOT / 'setup.py'}"] if installs else []),
    ]
