"""A worker as a process of an engine: Beam's boot program, which starts Python over the packages of the image.

It fetches what a job brings by `--setup_file`, and installs it into a virtual environment of the worker's own.
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
{prepare}
export PYTHONPATH={path} RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 TMPDIR="$own"
exec {boot} --semi_persist_dir="$own" "$@"
"""
_ENVIRONMENT = """{python} -m venv --without-pip "$own/venv"
export PATH="$own/venv/bin:$PATH\""""
_NO_ENVIRONMENT = 'export PATH={programs}:"$PATH"'


def worker_options(folder: Path, *, installs: bool = True) -> list[str]:
    """The options that have an engine start such workers, with a script for it in `folder`.

    They install what the job brings; or our code is there, as in an image of ours, and nothing is installed.

    Raises:
        NotInstalled: there is no boot program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    python = Path(sys.executable)
    prepare = _ENVIRONMENT if installs else _NO_ENVIRONMENT
    text = _SCRIPT.format(
        folder=shlex.quote(str(folder)),
        prepare=prepare.format(python=shlex.quote(str(python)), programs=shlex.quote(str(python.parent))),
        path=shlex.quote(str(install.worker_packages() if installs else _ROOT)),
        boot=shlex.quote(str(install.boot())),
    )
    script = folder / "worker.sh"
    script.write_text(text)
    script.chmod(0o755)
    command = json.dumps({"command": str(script)})
    return [
        "--environment_type=PROCESS",
        f"--environment_config={command}",
        "--environment_cache_millis=600000",  # else each stage starts its workers again
        *([f"--setup_file={_ROOT / 'setup.py'}"] if installs else []),
    ]
