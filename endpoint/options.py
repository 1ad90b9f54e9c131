"""Command line -> Options: every option of the embedded endpoint, said once and checked before anything starts."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import loky  # type: ignore[import-untyped]  # ships no types

from endpoint.errors import EndpointError

_MAX_WORKERS = 256


class UsageError(EndpointError, ValueError):
    """The command line can't be followed; the message is one line for the user."""


def _option(default: Any, doc: str, least: float | None = None, most: float | None = None) -> Any:
    return field(default=default, metadata={"doc": doc, "least": least, "most": most})


@dataclass(frozen=True, slots=True)
class Options:
    """What the endpoint was asked to be. Raises UsageError for a value out of its range."""

    host: str = _option("127.0.0.1", "address to listen on; there is no TLS: keep it on this machine or behind a proxy")
    port: int = _option(8000, "port to listen on; 0 picks a free one", 0, 65535)
    port_file: str = _option("", "file that gets the base URL once the endpoint is ready, and goes away when it stops")
    workers: int = _option(
        min(loky.cpu_count(), _MAX_WORKERS),
        "processes that read cards; the default is what cores this process may use",
        1,
        _MAX_WORKERS,
    )
    reader: str = _option("endpoint.reader.card_reader:CardReader", "importable name of the class that reads cards")
    max_waiting: int = _option(64, "images that may wait for a worker; above it: HTTP 503 with Retry-After", 1)
    max_wait_s: float = _option(60.0, "longest time an image may wait for a worker; above it: HTTP 503", 0.001)
    card_cpu_s: float = _option(
        10.0, "processor time an image or PDF may take; one that needs more is errorCode 3", 0.001
    )
    card_timeout_s: float = _option(300.0, "longest time for an image on a busy machine; above it: HTTP 504", 0.001)
    cards_per_worker: int = _option(10_000, "images after which a worker process is replaced", 1)
    max_worker_mb: int = _option(1024, "memory a worker may take; an image that needs more is errorCode 3", 64)
    max_body_mb: int = _option(32, "largest request body in MB; above it: HTTP 413", 1)
    body_timeout_s: float = _option(60.0, "longest time for a request body to arrive; above it: HTTP 408", 0.001)
    max_answers: int = _option(0, "successful answers before errorCode 4, out of requests; 0: no quota", 0)
    fetch_timeout_s: float = _option(15.0, "longest time to fetch one image in url mode, redirects included", 0.001)
    max_redirects: int = _option(3, "redirects followed in url mode", 0, 30)
    latency_s: float = _option(0.0, "seconds every answer is held back, to test clients as if it were far away", 0)
    allow_anonymous: bool = _option(False, "take requests without (or with any) credentials")
    allow_private_addresses: bool = _option(False, "let url mode fetch from private and loopback addresses too")

    def __post_init__(self) -> None:
        for option in fields(self):
            _check_range(option, getattr(self, option.name))
        if self.port_file and not Path(self.port_file).absolute().parent.is_dir():
            raise UsageError(f"--port_file: no folder {str(Path(self.port_file).absolute().parent)!r}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one pair of basic-auth values that is let in."""

    api_key: str
    api_secret: str

    def __repr__(self) -> str:
        return "Credentials(…)"  # so that no log line or traceback can hold them


def parse(argv: Sequence[str]) -> Options:
    """Arguments after the program's name -> Options.

    Raises UsageError for anything unknown or out of range, SystemExit(0) after printing `--help`.
    """
    known, unknown = _parser().parse_known_args(argv)
    if unknown:
        raise UsageError(_unknown_option(unknown[0]))
    return Options(**vars(known))


def credentials_from(environment: Mapping[str, str], options: Options) -> Credentials | None:
    """Environment -> the credentials to ask for; None where anyone may call.

    Raises UsageError where neither the environment nor the options say who may call.
    """
    if options.allow_anonymous:
        return None
    key, secret = environment.get("CARD_API_KEY", ""), environment.get("CARD_API_SECRET", "")
    if not (key and secret):
        raise UsageError("set CARD_API_KEY and CARD_API_SECRET in the environment, or pass --allow_anonymous")
    return Credentials(key, secret)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="endpoint",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="The embedded card endpoint: the contract's nine calls, answered by reading cards on this machine. "
        "Callers sign in with the CARD_API_KEY and CARD_API_SECRET of this process's environment.",
        epilog="Stops on SIGTERM or Ctrl-C. Exit status: 0 stopped, 2 bad usage, 4 no reader could start.",
    )
    types = get_type_hints(Options)
    for option in fields(Options):
        _add(parser, option, types[option.name])
    return parser


def _add(parser: argparse.ArgumentParser, option: Field[Any], kind: type) -> None:
    name, doc = f"--{option.name}", option.metadata["doc"]
    if kind is bool:
        parser.add_argument(name, action="store_true", help=doc)
    else:
        unit = {int: "N", float: "SECONDS"}.get(kind, option.name.upper())
        parser.add_argument(name, type=kind, default=option.default, metavar=unit, help=doc)


def _check_range(option: Field[Any], value: float) -> None:
    least, most = option.metadata["least"], option.metadata["most"]
    if least is not None and not value >= least:  # "not >=" so that nan is refused too
        raise UsageError(f"--{option.name}: {value} is below {least}")
    if most is not None and value > most:
        raise UsageError(f"--{option.name}: {value} is above {most}")


def _unknown_option(argument: str) -> str:
    name, _, _ = argument.partition("=")
    near = difflib.get_close_matches(name, [f"--{option.name}" for option in fields(Options)], n=1)
    return f"unknown option {name}" + (f", did you mean {near[0]}?" if near else "")
