"""Builds Prism, Beam's local runner, so that it listens on the loopback interface alone:
`python -m pipeline.launch.engines.build_prism DESTINATION`. It takes Go and the Go module proxy.

Prism has no option for the address. Whoever reaches its port can have it start any command, as the
user who runs it. So its source is changed in one place, and the build fails where that place is not
found.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cardbeam.errors import CardbeamError

_MODULE = "github.com/apache/beam/sdks/v2"
_LISTENER = f"vendor/{_MODULE}/go/pkg/beam/runners/prism/internal/jobservices/server.go"
_EVERY_ADDRESS = 'net.Listen("tcp", fmt.Sprintf(":%d", port))'
_LOOPBACK = 'net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))'
_WITHIN_S = 1200.0


class PrismNotBuilt(CardbeamError):
    """Prism cannot be built; says which step failed, in Go's words."""


def loopback_only(source: str) -> str:
    """The source of Prism's listener, with the loopback address in it.

    Raises:
        PrismNotBuilt: this version listens in another way, or in several places.
    """
    if source.count("net.Listen(") != 1 or _EVERY_ADDRESS not in source:
        raise PrismNotBuilt("this version of Prism opens its port in another way: its listener was not found")
    return source.replace(_EVERY_ADDRESS, _LOOPBACK)


def build(destination: Path, version: str) -> None:
    """Build Prism of a version of Beam into a file, which appears whole.

    Raises:
        PrismNotBuilt: there is no Go, the sources cannot be had, or they are not as expected.
    """
    part = destination.with_name(f"{destination.name}.part")
    with tempfile.TemporaryDirectory(prefix="cardbeam-") as name:
        folder = Path(name)
        _go(folder, "mod", "init", "cardbeam.local/prism")
        _go(folder, "get", "-tool", f"{_MODULE}/go/cmd/prism@v{version}")
        _go(folder, "mod", "vendor")
        listener = folder / _LISTENER
        listener.write_text(loopback_only(listener.read_text()))
        _go(folder, "build", "-trimpath", "-o", str(part.absolute()), f"{_MODULE}/go/cmd/prism")
    part.replace(destination)


def _go(folder: Path, *arguments: str) -> None:
    try:
        ended = subprocess.run(
            ["go", *arguments],
            cwd=folder,
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PrismNotBuilt(f"go {arguments[0]}: {error}") from error
    if ended.returncode:
        raise PrismNotBuilt(f"go {' '.join(arguments[:2])} failed: {ended.stderr.strip()}")


def main(arguments: list[str]) -> int:
    """Build Prism of the installed Beam's version into the file named; the exit status."""
    try:
        (destination,) = arguments
        build(Path(destination), importlib.metadata.version("apache-beam"))
    except ValueError:
        print("usage: python -m pipeline.launch.engines.build_prism DESTINATION", file=sys.stderr)
        return 2
    except PrismNotBuilt as error:
        print(f"Prism was not built: {error}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
