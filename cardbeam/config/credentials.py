"""Reads the credentials of the endpoint from the environment or a small JSON file."""

from __future__ import annotations

import codecs
import os
import ssl
import string
from collections.abc import Mapping
from typing import Any

import orjson

from cardbeam.config import secret_command
from cardbeam.http.card_client import Credentials
from cardbeam.storage.open_uri import CANNOT_OPEN, SourceError, open_source

_AROUND_A_SECRET = f"{string.whitespace}\ufeff\u00a0"
"""What editors and copying put around a secret: no key begins or ends with it."""


CLIENT_CERT = "CARD_CLIENT_CERT"
"""Names a PEM file of a certificate and its key, for an endpoint that asks who connects."""


def client_certificate(environment: Mapping[str, str]) -> str | None:
    """The path of the client certificate, where the environment names one.

    Raises:
        SourceError: it is not a certificate with its key, or cannot be read.
    """
    path = environment.get(CLIENT_CERT, "").strip()
    if not path:
        return None
    try:
        ssl.create_default_context().load_cert_chain(path, password=lambda: "")
    except (OSError, ValueError) as error:  # of TLS too; neither quotes the file
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a PEM certificate and key"
        raise SourceError(f"{CLIENT_CERT}: {path} cannot be used: {reason}") from None
    return path


def read_credentials(uri: str | None) -> Credentials:
    """The credentials from a small JSON, or from the environment, or from the command that it names.

    Raises:
        SourceError: they are not there, or not of the form that is expected. The message holds no value.
    """
    if uri is None:
        found: Any = {name: os.environ.get(f"CARD_{name.upper()}") for name in ("api_key", "api_secret")}
        where = f"the environment (CARD_API_KEY, CARD_API_SECRET or {secret_command.VARIABLE})"
        if command := os.environ.get(secret_command.VARIABLE):
            found |= secret_command.secrets_of(command)
    else:
        where = f"--credentials_uri {uri}"
        try:
            with open_source(uri) as file:
                found = orjson.loads(file.read().removeprefix(codecs.BOM_UTF8))
        except CANNOT_OPEN:  # a JSON error would quote the file
            raise SourceError(f"{where} cannot be read as JSON") from None
    values = [found.get(name) for name in ("api_key", "api_secret")] if isinstance(found, dict) else []
    texts = [text for value in values if isinstance(value, str) and (text := value.strip(_AROUND_A_SECRET))]
    if len(texts) != 2:
        raise SourceError(f"{where} holds no api_key and api_secret")
    return Credentials(texts[0], texts[1], client_certificate(os.environ))
