"""Environment -> how each store is reached: the one place for endpoints, credentials, timeouts.

The variables are those that the vendors' own tools know, so that what works for `aws`,
`gcloud` or `az` works here; obstore reads most of them itself. What stands here is what it
leaves out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

RETRY_S_VARIABLE = "CARDBEAM_STORE_RETRY_S"
"""Seconds for which a request to a store is tried again; raising it lets a run sit out a longer outage."""
_RETRY_S = 120.0
_CONNECT_TIMEOUT = timedelta(seconds=10)
_SILENCE_TIMEOUT = timedelta(seconds=20)
"""Without a byte read. A timeout on the whole request would cut off large objects on slow lines."""
_WHOLE_TIMEOUT = timedelta(minutes=10)
_CREDENTIALS_LIVE = timedelta(minutes=5)

Options = dict[str, Any]


def retry_s(environment: Mapping[str, str] = os.environ) -> float:
    """Seconds for which a request to a store is tried again."""
    return float(environment.get(RETRY_S_VARIABLE, _RETRY_S))


def _common(endpoint: str, environment: Mapping[str, str]) -> Options:
    seconds = retry_s(environment)
    return {
        "client_options": {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": _CONNECT_TIMEOUT,
            "read_timeout": _SILENCE_TIMEOUT,
            "timeout": _WHOLE_TIMEOUT,
        },
        "retry_config": {
            "max_retries": 30,
            "retry_timeout": timedelta(seconds=seconds),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=min(15.0, max(0.2, seconds / 8))),
                "base": 2,
            },
        },
    }


def s3_options(environment: Mapping[str, str] = os.environ) -> Options:
    """AWS_ENDPOINT_URL(_S3), AWS_REGION, AWS_ACCESS_KEY_ID, …; profiles where boto3 is installed."""
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
    options = _common(endpoint, environment)
    if "AWS_PROFILE" in environment or _has_profile_alone(environment):
        options |= _profile_options(environment)
    return options


def iceberg_options(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The S3 endpoint and region in pyiceberg's words, which reads credentials from the environment but not these."""
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    found = {"s3.endpoint": endpoint, "s3.region": environment.get("AWS_REGION")}
    return {name: value for name, value in found.items() if value}


def _has_profile_alone(environment: Mapping[str, str]) -> bool:
    """Whether `~/.aws/credentials` is all that there is."""
    others = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE")
    has_other = any(name in environment for name in others) or any("AWS_CONTAINER_" in name for name in environment)
    return not has_other and Path("~/.aws/credentials").expanduser().exists()


def _profile_options(environment: Mapping[str, str]) -> Options:
    """Profiles, SSO and assumed roles as boto3 resolves them; obstore does not read the files of `aws configure`."""
    try:
        import boto3  # noqa: PLC0415  # an extra, and slow to import
    except ImportError:
        raise ValueError("AWS profiles need boto3; pip install 'cardbeam[aws]'") from None
    session = boto3.Session()
    found = session.get_credentials()
    if found is None:
        raise ValueError("boto3 found no credentials")

    def provide() -> dict[str, Any]:
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(timezone.utc) + _CREDENTIALS_LIVE,
        }

    region = {"region": session.region_name} if session.region_name and "AWS_REGION" not in environment else {}
    provider: Callable[[], dict[str, Any]] = provide
    return {"credential_provider": provider, **region}


_GOOGLE_CREDENTIALS = (
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
)


def gcs_options(environment: Mapping[str, str] = os.environ) -> Options:
    """GOOGLE_APPLICATION_CREDENTIALS, …; STORAGE_EMULATOR_HOST or GOOGLE_BASE_URL for another endpoint."""
    emulator = environment.get("STORAGE_EMULATOR_HOST", "")
    if emulator and "://" not in emulator:
        emulator = f"http://{emulator}"
    endpoint = emulator or environment.get("GOOGLE_BASE_URL", "")
    options = _common(endpoint, environment)
    if emulator:
        options["base_url"] = emulator.rstrip("/")
        if not any(name in environment for name in _GOOGLE_CREDENTIALS):
            options["bearer_token"] = "emulator"  # any; without one the metadata service is asked
    return options


def azure_options(environment: Mapping[str, str] = os.environ) -> Options:
    """AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and _KEY, AZURE_STORAGE_ENDPOINT, …."""
    text = environment.get("AZURE_STORAGE_CONNECTION_STRING", "")
    parts = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    names = {
        "AccountName": "account_name",
        "AccountKey": "account_key",
        "BlobEndpoint": "endpoint",
        "SharedAccessSignature": "sas_key",
    }
    options: Options = {name: parts[key] for key, name in names.items() if key in parts}
    endpoint = options.get("endpoint") or environment.get("AZURE_STORAGE_ENDPOINT", "")
    return options | _common(endpoint, environment)
