"""Options as fields of settings, and the checks that several settings have in common."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import MISSING, field
from typing import Any
from urllib.parse import urlsplit

from cardbeam.storage.object_store import BUCKET_SCHEMES, is_in_bucket
from cardbeam.storage.uris import local_path

SettingError = str
_MAX_NUMBER = 1_000_000_000
"""No number of an option is larger: rates, seconds and counts beyond it are slips, and clocks do not take them."""


def option(default: Any = MISSING, *, help: str, choices: tuple[str, ...] = ()) -> Any:  # argparse's word
    """A dataclass field that is an option, with what `--help` says of it."""
    return field(default=default, metadata={"help": help, "choices": choices})


def at_least(settings: Any, **minimum: float) -> Iterator[SettingError]:
    """Numbers that are below their bound, or beyond any use, in words."""
    for name, bound in minimum.items():
        value = getattr(settings, name)
        if not bound <= value <= _MAX_NUMBER:  # false for nan too
            yield f"--{name} is {value}, expected {bound} " + ("or more" if value < bound else f"to {_MAX_NUMBER:,}")


def validate_uri(option: str, uri: str) -> Iterator[SettingError]:
    """A URI that no file could hold, or that names less than was meant: what is left would be all there is."""
    if not _is_text(uri):
        yield f"--{option} is no UTF-8 text: give it as file:///PATH, with %FF say for each byte that is none"
        return
    scheme, _, rest = uri.partition("://")
    host = rest.partition("/")[0]
    if scheme == "file" and host not in ("", "localhost"):
        yield f"--{option} {uri} names the host {host}, expected file:///PATH"
    if scheme in BUCKET_SCHEMES and not host:
        yield f"--{option} {uri} names no bucket, expected {scheme}://BUCKET/…"


def is_insecure(url: str) -> bool:
    """Whether a URL is http:// to another machine than this one."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:  # a bracket without the other
        return False
    if parts.scheme.lower() != "http" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return True


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8 stand in it as surrogates
        return False
    return True


def validate_output(output: str, advice: str = "give the output folder of the run") -> Iterator[SettingError]:
    """What is wrong with an `--output`, in words; `advice` is for where it is missing."""
    if not output.strip():
        yield f"--output is missing: {advice}"
    elif local_path(output) is None and not is_in_bucket(output):
        yield f"--output is {output}, expected a path or a URI of {', '.join(BUCKET_SCHEMES)}"
    yield from validate_uri("output", output)
