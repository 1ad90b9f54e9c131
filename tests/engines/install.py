"""The engines, installed on first use into `.venv/engines` by the ordinary clients of their registries.

Flink, Spark and Beam's job servers for them by Maven, Prism and the workers' boot program by Go, both of the version
of the Beam that is here; and what a cluster's workers have before a job comes: every package here but ours.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENGINES = ROOT / ".venv" / "engines"
_JOB_SERVERS = {
    "flink": "org.apache.beam.runners.flink.FlinkJobServerDriver",
    "spark": "org.apache.beam.runners.spark.SparkJobServerDriver",
}
_LOADED = (
    " ".join(
        f"java.base/{package}"
        for package in ("java.io", "java.lang", "java.lang.invoke", "java.net", "java.nio", "java.util")
    )
    + " java.base/java.util.concurrent java.base/sun.nio.ch java.base/sun.security.action java.base/sun.util.calendar"
)
"""Packages of the JDK that Spark looks into, as its own start scripts say."""
_BEAM_GO = "github.com/apache/beam/sdks/v2"
GO_BUILD = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -trimpath"}
"""As Prism is built: Go compiles its own packages once for all that is built so."""
_INSTALL_WITHIN_S = 1200
_TRIED_AGAIN_AFTER_S = 600.0
"""What could not be installed is not tried again by each test."""
_OURS = ("cardbeam", "__editable__")
_OF_ITS_OWN = ("setuptools", "_distutils_hack", "distutils-precedence", "pkg_resources")
_SETUPTOOLS = "setuptools>=77"
_PIP = (sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check")


class NotInstalled(Exception):
    """An engine that is not here and cannot be installed; names it and what is missing."""


def jars(engine: str) -> Path:
    """The folder of all jars of an engine, `flink` or `spark`, and of Beam's job server for it; or of `kafka`.

    Raises:
        NotInstalled: there is no Java or no Maven, or they cannot be downloaded.
    """
    pom = HERE / f"{engine}.xml"
    found = ENGINES / f"{engine}-{_checksum(pom)}"
    with whether_missing(found) as is_missing:
        if is_missing:
            need(engine, "java", "mvn")
            part = found.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            run_installer(
                engine, "mvn", "-B", "-q", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={part}"
            )
            part.rename(found)
    return found


def job_server_class(engine: str) -> str:
    """The main class of Beam's job server for `flink` or `spark`."""
    return _JOB_SERVERS[engine]


def job_server_jar(engine: str) -> Path:
    """What `--flink_job_server_jar` and its like take: a jar that names the others. Raises as `jars`."""
    folder = jars(engine)
    jar = folder.with_suffix(".jar")
    with whether_missing(jar) as is_missing:
        if is_missing:
            names = " ".join(f"{folder.name}/{path.name}" for path in sorted(folder.iterdir()))
            lines = [f"Main-Class: {_JOB_SERVERS[engine]}", f"Add-Opens: {_LOADED}", f"Class-Path: {names}"]
            part = jar.with_suffix(".part.jar")
            with zipfile.ZipFile(part, "w") as archive:
                folded = [short for line in ("Manifest-Version: 1.0", *lines) for short in _folded(line)]
                archive.writestr("META-INF/MANIFEST.MF", "\r\n".join([*folded, ""]))
            part.rename(jar)
    return jar


def prism() -> Path:
    """Beam's portable local runner. Raises NotInstalled without Go, or where it cannot be built."""
    binary = ENGINES / f"prism-loopback-{beam.__version__}"
    with whether_missing(binary) as is_missing:
        if is_missing:
            need("prism", "go")
            run_installer(
                "prism", sys.executable, "-m", "pipeline.launch.engines.build_prism", str(binary), PYTHONPATH=str(ROOT)
            )
    return binary


def boot() -> Path:
    """What a worker starts with: it fetches and installs what a job brings. Raises as `prism`."""
    return _go("the boot program of Beam's workers", "python/container", "container")


def worker_packages() -> Path:
    """A folder with every package that is installed here, but ours: what a worker's image holds.

    Raises:
        NotInstalled: the setuptools that installs ours there cannot be had.
    """
    here = Path(sysconfig.get_path("purelib")).resolve()
    names = sorted(entry.name for entry in here.iterdir() if not entry.name.startswith((*_OURS, *_OF_ITS_OWN)))
    packages = ENGINES / f"worker-{zlib.crc32(' '.join([str(here), *names]).encode()):08x}"
    with whether_missing(packages) as is_missing:
        if is_missing:
            part = packages.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            run_installer("setuptools", *_PIP, f"--target={part}", _SETUPTOOLS)
            for name in names:
                (part / name).symlink_to(here / name)
            part.rename(packages)
    return packages


def packages(extra: str) -> Path:
    """A folder with the packages of an extra, as `constraints/` pins them, for `sys.path` of the tests that use them.

    What only some tests use stays out of the others' way: Beam imports pandas and Azure's client at each start, if
    they are there, which takes it half as long again.

    Raises:
        NotInstalled: they cannot be had.
    """
    pins = ROOT / "constraints" / f"{extra}.txt"
    folder = ENGINES / f"{extra}-{_checksum(pins)}"
    with whether_missing(folder) as is_missing:
        if is_missing:
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            run_installer(extra, *_PIP, f"--target={part}", "--no-deps", "--require-hashes", f"--requirement={pins}")
            part.rename(folder)
    return folder


def _go(name: str, package: str, built: str) -> Path:
    binary = ENGINES / f"{built}-{beam.__version__}"
    with whether_missing(binary) as is_missing:
        if is_missing:
            need(name, "go")
            part = ENGINES / f"{built}.part"
            run_installer(
                name, "go", "install", f"{_BEAM_GO}/{package}@v{beam.__version__}", GOBIN=str(part), **GO_BUILD
            )
            (part / built).rename(binary)
    return binary


@contextmanager
def whether_missing(found: Path) -> Iterator[bool]:
    """Whether it is not here, with nobody else at it: several processes of tests may want it at once.

    Raises:
        NotInstalled: nobody could install it a moment ago.
    """
    ENGINES.mkdir(parents=True, exist_ok=True)
    with (ENGINES / f"{found.name}.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        why = lock.read()
        is_recent = time.time() - os.fstat(lock.fileno()).st_mtime < _TRIED_AGAIN_AFTER_S
        if why and is_recent and not found.exists():
            raise NotInstalled(why)
        lock.truncate(0)
        try:
            yield not found.exists()
        except NotInstalled as missing:
            lock.write(str(missing))
            raise


def need(name: str, *commands: str) -> None:
    if missing := [command for command in commands if shutil.which(command) is None]:
        raise NotInstalled(f"{name} is not installed, and neither is {' nor '.join(missing)}, which it takes")


def run_installer(name: str, *command: str, **environment: str) -> None:
    print(f"installing {name}: some minutes, once", file=sys.stderr)
    try:
        subprocess.run(
            command,
            env={**os.environ, **environment},
            check=True,
            timeout=_INSTALL_WITHIN_S,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = "; ".join(str(error.stdout or error).strip().splitlines()[-4:])
        raise NotInstalled(f"{name} cannot be installed by {command[0]}: {said}") from error


def _checksum(path: Path) -> str:
    return f"{zlib.crc32(path.read_bytes()):08x}"


def _folded(line: str) -> list[str]:
    """A line of a manifest, which holds 72 bytes; the rest follows behind a space."""
    return [line[:70], *(f" {line[start : start + 69]}" for start in range(70, len(line), 69))]


if __name__ == "__main__":
    for path in (job_server_jar("flink"), prism(), boot(), worker_packages()):
        print(path)
