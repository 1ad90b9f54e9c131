"""Pins every package of setup.py's extras with its hashes, for all platforms: `python constraints/update.py`. Needs uv.

`base.txt` is what each installation has; the file of an extra holds what that extra adds to it. All are from one
resolution, so that any extras can be installed together.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SETUP = HERE.parent / "setup.py"
PYTHON = "3.10"
TOOLS = ("pip", "setuptools>=77")
"""What installs and builds; pinned too."""
EXTRAS = (
    "dev",
    *("aws", "azure", "bench", "browser", "check", "endpoint"),
    *("heic", "iceberg", "kafka", "otel", "pandas", "peers", "report", "sbom", "spark", "sql", "test"),
)
"""All but airflow's, which needs an environment of its own."""
_HEAD = "# Made by constraints/update.py. Install with: pip install --require-hashes -r constraints/base.txt …\n"


def compile_pins(tools: Path, extras: tuple[str, ...], fixed: Path | None) -> dict[str, str]:
    """The pins of some extras, by package and marker: each a requirement with its hashes."""
    command = ["uv", "pip", "compile", "-q", "--universal", f"--python-version={PYTHON}", "--generate-hashes"]
    command += ["--no-annotate", "--no-header", str(SETUP), str(tools)]
    command += [f"--extra={extra}" for extra in extras]
    command += [f"--constraints={fixed}"] if fixed else []
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    blocks = re.split(r"\n(?=\S)", text.strip())
    return {block.split(" \\", 1)[0]: block for block in blocks}


def main() -> int:
    """Write all files; the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        tools, fixed = Path(folder, "tools.in"), Path(folder, "all.txt")
        tools.write_text("\n".join(TOOLS))
        everything = compile_pins(tools, EXTRAS, None)
        fixed.write_text("\n".join(everything))
        base = compile_pins(tools, (), fixed)
        write("base", base)
        for extra in EXTRAS:
            pins = compile_pins(tools, (extra,), fixed)
            write(extra, {name: block for name, block in pins.items() if name not in base})
    return 0


def write(name: str, pins: dict[str, str]) -> None:
    """One file of pins."""
    (HERE / f"{name}.txt").write_text(_HEAD + "".join(f"{block}\n" for block in pins.values()))


if __name__ == "__main__":
    sys.exit(main())
