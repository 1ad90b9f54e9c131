"""Credentials are read as they were meant, from the environment or from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trustme

from cardbeam.config.credentials import read_credentials
from cardbeam.http.card_client import Credentials
from cardbeam.storage.open_uri import SourceError

SECRET = " \ufeffs3cr et\u00a0\r\n"


def test_what_editors_put_around_a_secret_is_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """White space and byte-order marks around a key are dropped, those within it stay, from either source."""
    monkeypatch.setenv("CARD_API_KEY", "key\n")
    monkeypatch.setenv("CARD_API_SECRET", SECRET)
    path = tmp_path / "secret.json"
    path.write_text(json.dumps({"api_key": "\tkey", "api_secret": SECRET}), "utf-8-sig")
    assert [read_credentials(None), read_credentials(str(path))] == [Credentials("key", "s3cr et")] * 2


@pytest.mark.parametrize("secret", ["", " \n", "\ufeff"])
def test_a_blank_secret_is_missing(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to nothing is no secret."""
    monkeypatch.setenv("CARD_API_KEY", "key")
    monkeypatch.setenv("CARD_API_SECRET", secret)
    with pytest.raises(SourceError, match="CARD_API_SECRET"):
        read_credentials(None)


def test_a_client_certificate_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, half = tmp_path / "client.pem", tmp_path / "half.pem"
    issued = trustme.CA().issue_cert("client.example")
    issued.private_key_and_cert_chain_pem.write_to_path(str(whole))
    issued.cert_chain_pems[0].write_to_path(str(half))
    monkeypatch.setenv("CARD_API_KEY", "key")
    monkeypatch.setenv("CARD_API_SECRET", "secret")
    monkeypatch.setenv("CARD_CLIENT_CERT", str(whole))
    assert read_credentials(None) == Credentials("key", "secret", str(whole))
    for wrong in (half, tmp_path / "missing.pem"):
        monkeypatch.setenv("CARD_CLIENT_CERT", str(wrong))
        with pytest.raises(SourceError, match=f"CARD_CLIENT_CERT: {wrong} cannot be used: ."):
            read_credentials(None)
