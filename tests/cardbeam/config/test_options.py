"""Clear text crosses no network unless somebody said so."""

from __future__ import annotations

import pytest

from cardbeam.config.settings import EndpointSettings

_ERROR = "so images and credentials would cross the network in clear text"


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [
        ("https://host/api", False),
        ("http://localhost:8000/api", False),
        ("http://127.9.9.9/api", False),
        ("http://[::1]:8/api", False),
        ("http://host/api", True),
        ("HTTP://10.0.0.1/api", True),
        ("http://localhost.example/api", True),
    ],
)
def test_http_to_another_machine_must_be_allowed(url: str, is_refused: bool) -> None:
    """For the endpoint and for a file of credentials."""
    for named in ({"endpoint_url": url}, {"credentials_uri": url}):
        errors = [_ERROR in error for error in EndpointSettings(**named).validate() if "is not a URL" not in error]
        assert errors == ([True] if is_refused else [])
        assert not any(_ERROR in error for error in EndpointSettings(**named, allow_insecure_http=True).validate())
