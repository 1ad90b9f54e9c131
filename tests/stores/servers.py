"""Real object stores on loopback ports, with their data in a folder: one for each protocol.

Versity S3 Gateway (Apache-2.0, Go), fake-gcs-server (BSD-2-Clause, Go), Azurite (MIT, npm).
They are installed on first use into `.venv/stores`, by the ordinary clients of their
registries; what cannot be installed is named by `NotInstalled` of `tests.engines.install`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from tests.engines.install import GO_BUILD, ROOT, need, packages, run_installer, whether_missing

BIN = ROOT / ".venv" / "stores"
BUCKET = "cards"
_START_WITHIN_S = 120.0
_KEY, _SECRET = "test-key", "test-secret"
_AZURE_ACCOUNT = "devstoreaccount1"
_AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, which its documentation prints; it opens nothing else."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the three: how it is installed, started, given a bucket, and told to our product."""

    name: str
    scheme: str
    binary: str
    installer: str
    install: tuple[str, ...]
    start: Callable[[int, Path], list[str]]
    make_bucket: Callable[[str, Path], None]
    environment: Callable[[str], Mapping[str, str]]
    speaks_xml: bool = True

    @property
    def uri(self) -> str:
        """The bucket's URI."""
        return f"{self.scheme}://{BUCKET}"


def _azure_connection(url: str) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={_AZURE_ACCOUNT};AccountKey={_AZURE_KEY};"
        f"BlobEndpoint={url}/{_AZURE_ACCOUNT};"
    )


def _make_google_bucket(url: str, _: Path) -> None:
    body = f'{{"name": "{BUCKET}"}}'.encode()
    with urlopen(Request(f"{url}/storage/v1/b?project=test", body, {"Content-Type": "application/json"})):
        pass


def _azure_environment(url: str) -> Mapping[str, str]:
    """With Azure's client for the processes that tests start."""
    path = os.pathsep.join((str(ROOT), str(packages("azure"))))
    return {"AZURE_STORAGE_CONNECTION_STRING": _azure_connection(url), "PYTHONPATH": path}


def _make_azure_container(url: str, _: Path) -> None:
    if (folder := str(packages("azure"))) not in sys.path:
        sys.path.append(folder)
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(_azure_connection(url)) as client:
        client.create_container(BUCKET)


S3 = Kind(
    "Versity S3 Gateway",
    "s3",
    "versitygw",
    "go",
    ("go", "install", "github.com/versity/versitygw/cmd/versitygw@v1.8.0"),
    lambda port, data: [
        *("--port", f"127.0.0.1:{port}", "--access", _KEY, "--secret", _SECRET, "--quiet", "posix", str(data))
    ],
    lambda _, data: (data / BUCKET).mkdir(),
    lambda url: {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_REGION": "us-east-1",
    },
)
GOOGLE = Kind(
    "fake-gcs-server",
    "gs",
    "fake-gcs-server",
    "go",
    ("go", "install", "github.com/fsouza/fake-gcs-server@v1.56.1"),
    lambda port, data: [
        *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-log-level", "error"),
        *("-backend", "filesystem", "-filesystem-root", str(data), "-public-host", f"127.0.0.1:{port}"),
    ],
    _make_google_bucket,
    lambda url: {"STORAGE_EMULATOR_HOST": url},
    speaks_xml=False,
)
AZURE = Kind(
    "Azurite",
    "az",
    "node_modules/.bin/azurite-blob",
    "npm",
    ("npm", "install", "--loglevel=error", "--no-fund", "--no-audit", "--prefix", str(BIN), "azurite@3.35.0"),
    lambda port, data: [
        *("--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(data)),
        *("--silent", "--skipApiVersionCheck", "--disableTelemetry"),
    ],
    _make_azure_container,
    _azure_environment,
)
KINDS = {kind.scheme: kind for kind in (S3, GOOGLE, AZURE)}


def install(kind: Kind) -> Path:
    """The server's binary, built or downloaded on first use.

    Raises:
        NotInstalled: it cannot be.
    """
    binary = BIN / kind.binary
    with whether_missing(binary) as is_missing:
        if is_missing:
            BIN.mkdir(parents=True, exist_ok=True)
            need(kind.name, kind.installer)
            run_installer(kind.name, *kind.install, GOBIN=str(BIN), **GO_BUILD)
    return binary


class StoreServer:
    """One store, from `with` to its end; `environment` is what it is told beside its arguments."""

    def __init__(self, kind: Kind, data: Path, **environment: str) -> None:
        self.kind, self._data, self._environment = kind, data, environment
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> StoreServer:
        binary = install(self.kind)
        self._data.mkdir(parents=True, exist_ok=True)
        self._child = subprocess.Popen(
            [str(binary), *self.kind.start(self._port, self._data)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "AZURITE_ACCOUNTS": "", **self._environment},
        )
        wait_for(self._port, self._child)
        self.kind.make_bucket(self.url, self._data)
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait()


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def wait_for(port: int, child: subprocess.Popen[bytes]) -> None:
    """Until the server listens.

    Raises:
        TimeoutError: it does not, or has ended.
    """
    deadline_s = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < deadline_s and child.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    child.kill()
    raise TimeoutError(f"the server did not start on port {port}")
