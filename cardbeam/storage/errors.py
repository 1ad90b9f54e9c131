"""What a store or its library says went wrong -> an error of the operating system, in words without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError

from cardbeam.errors import CardbeamError

_DENIED = re.compile(r"ExpiredToken|InvalidToken|TokenRefreshRequired|AccessDenied|AuthenticationFailed")
"""Refusals under other statuses than 401 and 403: S3 answers 400 where a session token has expired."""
_NO_CREDENTIALS = re.compile(r"token request|169\.254\.169\.254|metadata\.google\.internal|redentials from|boto3")
_SERVER_ERROR = 500
_STATUS = re.compile(r"status:? (?:code:? )?(\d{3})", re.IGNORECASE)


class StoreError(CardbeamError, OSError):
    """A request that a store refused or lost, retries included; `status` is the HTTP status, where there was one."""

    status: int | None = None

    @property
    def exit_status(self) -> int | None:
        """4, where the store itself is in trouble, and may be well again for the next run; else it does not say."""
        return 4 if self.status is None or self.status >= _SERVER_ERROR else None


class StoreRefused(CardbeamError, PermissionError):
    """A store did not take our credentials, or not for this."""

    exit_status = 5


class StoreUnreachable(StoreError):
    """A request that got no whole response."""


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn the library's errors into the operating system's, in words without secrets.

    obstore's messages quote the request, and an Azure request may carry its signature in the URL.

    Raises:
        FileNotFoundError: there is no such object.
        FileExistsError: there is one, and it was to be a new one.
        StoreRefused: the store refused the credentials, or what they may do.
        StoreError: anything else, after the retries.
    """
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(f"{uri}: there is no such object") from None
    except AlreadyExistsError:
        raise FileExistsError(f"{uri} is there already") from None
    except (PermissionDeniedError, UnauthenticatedError):
        raise StoreRefused(f"{uri}: the store refused the credentials") from None
    except (BaseError, ValueError) as error:
        raise _as_os_error(uri, str(error)) from None


def _as_os_error(uri: str, text: str) -> OSError:
    if _NO_CREDENTIALS.search(text):
        return StoreRefused(f"{uri}: no credentials for the store were found, or they cannot be renewed")
    if _DENIED.search(text):
        return StoreRefused(f"{uri}: the store refused the credentials")
    if found := _STATUS.search(text):
        error = StoreError(f"{uri}: the store answered HTTP {found[1]}, again and again")
        error.status = int(found[1])
        return error
    if "arse path" in text or "arsing Path" in text:
        return StoreError(f"{uri}: a key with an empty step, '.' or '..' cannot be addressed")
    if "HTTP error" in text:
        return StoreUnreachable(f"{uri}: the store cannot be reached, or does not answer in time")
    return StoreError(f"{uri}: the store cannot be used; check the environment variables that say how to reach it")
