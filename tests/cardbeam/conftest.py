"""What several tests of the stages need."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from cardbeam.http.card_client import CardClient, Credentials
from cardbeam.inputs.image_source import describe
from cardbeam.model.request import Request
from cardbeam.storage.folder import LocalFolder
from tests.cardbeam.rig import Rig

KEY, SECRET = "key-é", "secret:with colons ü"


@pytest.fixture
def client_of() -> Callable[..., CardClient]:
    """A function (base URL, options) -> client."""
    return lambda base_url, **options: CardClient(base_url, Credentials(KEY, SECRET), **options)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of TLS at 127.0.0.1, which clients trust."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    return context


@pytest.fixture
def rig_of(tmp_path: Path, client_of: Callable[..., CardClient]) -> Callable[..., Rig]:
    """A function (server, options) -> Rig, all over one output."""
    return lambda server, **options: Rig(server, LocalFolder(str(tmp_path / "output")), client_of, **options)


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Request]:
    """A function (name, content) -> Request of an image that is there."""

    def put_image(name: str, content: bytes, operation: str = "ekyc/card") -> Request:
        path = tmp_path / name
        path.write_bytes(content)
        return Request(operation, (describe(str(path)),))

    return put_image
