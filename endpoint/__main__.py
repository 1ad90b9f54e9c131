"""`python -m endpoint`: start the workers, listen, say where, and stop without leaving a process behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import uvicorn

from endpoint.options import Credentials, Options, UsageError, credentials_from, parse
from endpoint.server.app import CardService, ServerPolicy, build_app
from endpoint.server.bounded_protocol import bounded_protocol, connection_limit
from endpoint.server.request_images import TransferBounds
from endpoint.server.url_fetch import FetchBounds, is_any, is_public
from endpoint.workers.pool import PoolBounds, WorkerPool
from endpoint.workers.process import ProcessBounds, WorkerDied

_logger = logging.getLogger("endpoint")
_FINISH_WITHIN_S = 5
_REFUSAL_WITHIN_S = 5
"""A body that is late is answered with HTTP 408; where nobody waits for one, its connection is closed so much later."""
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h of glibc
_LARGE_BLOCK_BYTES = 65_536
_KEEP_ALIVE_S = 75  # longer than clients keep idle connections, so that they rarely send into one being closed
_NO_TALE_OF_SEMAPHORES = "ignore::UserWarning:loky.backend.resource_tracker"
"""The tracker of loky, a process of its own, at times finds at the very end a semaphore gone, and would say so."""


def main(argv: Sequence[str]) -> int:
    """Command line -> exit status once stopped: 0 as asked, 2 bad usage, 4 where no reader could start.

    Call it from the main thread: it takes over SIGTERM. Raises SystemExit(0) after `--help`.
    """
    try:
        options = parse(argv)
        credentials = credentials_from(os.environ, options)
        _clear_port_file(options)
        listener = _listen(options)
    except UsageError as error:
        print(f"endpoint: {error} (see --help)", file=sys.stderr)
        return 2
    _log_to_stderr()
    _return_free_memory()
    os.environ.setdefault("PYTHONWARNINGS", _NO_TALE_OF_SEMAPHORES)
    # whoever started this process may have blocked them for itself, which is inherited
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both signals end the run as KeyboardInterrupt
    try:
        asyncio.run(_serve(options, credentials, listener))
    except WorkerDied:
        print(f"endpoint: no worker could open the reader {options.reader!r}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        pass
    return 0


async def _serve(options: Options, credentials: Credentials | None, listener: socket.socket) -> None:
    pool = WorkerPool(options.reader, _pool_bounds(options))
    service = CardService(pool, _policy(options, credentials))
    app = build_app(service, pool, options.latency_s)
    try:
        await pool.start()
        with _announced(_base_url(options.host, listener), options):
            await _quiet_server(app, options.body_timeout_s).serve(sockets=[listener])
    finally:
        pool.close()
        _logger.info("stopped after %s answers", service.answers)


def _quiet_server(app: object, body_timeout_s: float) -> uvicorn.Server:
    """A server that logs no request: query strings can hold URLs of images. Requests must arrive in time."""
    protocol = bounded_protocol(body_timeout_s + _REFUSAL_WITHIN_S, connection_limit())
    return uvicorn.Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]  # any ASGI application
            http=protocol,  # on httptools: it reads a refused body to its end; h11 would reset the connection
            ws="none",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_FINISH_WITHIN_S,
        )
    )


@contextlib.contextmanager
def _announced(base_url: str, options: Options) -> Iterator[None]:
    """Say the base URL on standard output and in the port file while the endpoint is there; it listens already."""
    port_file = Path(options.port_file) if options.port_file else None
    if port_file:
        _write_whole(port_file, f"{base_url}\n")
    print(base_url, flush=True)
    _logger.info("reads cards with %s workers", options.workers)
    try:
        yield
    finally:
        if port_file:
            port_file.unlink(missing_ok=True)


def _write_whole(path: Path, text: str) -> None:
    """Whoever waits for the file never reads half of it."""
    _part_of(path).write_text(text)
    _part_of(path).replace(path)


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _listen(options: Options) -> socket.socket:
    """A socket that listens. Raises UsageError where that address can't be had."""
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((options.host, options.port), family=family)
        listener.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # accepted ones inherit it; else 40 ms a response
        return listener
    except OSError as error:
        raise UsageError(f"--host, --port: can't listen on {options.host}: {error.strerror}") from None


def _clear_port_file(options: Options) -> None:
    """A file left by an endpoint that was killed misleads who waits for it. Raises UsageError where it can't be one."""
    if not options.port_file:
        return
    try:
        Path(options.port_file).unlink(missing_ok=True)
        _part_of(Path(options.port_file)).touch()
        _part_of(Path(options.port_file)).unlink()
    except OSError as error:
        raise UsageError(f"--port_file: {error.strerror}") from None


def _base_url(host: str, listener: socket.socket) -> str:
    """What a client takes as its endpoint URL: the calls are `<base>/ekyc/card` and so on."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/api/v2"


def _pool_bounds(options: Options) -> PoolBounds:
    process = ProcessBounds(
        card_cpu_s=options.card_cpu_s,
        card_timeout_s=options.card_timeout_s,
        cards_per_worker=options.cards_per_worker,
        max_worker_mb=options.max_worker_mb,
    )
    return PoolBounds(options.workers, options.max_waiting, options.max_wait_s, process)


def _policy(options: Options, credentials: Credentials | None) -> ServerPolicy:
    max_bytes = options.max_body_mb * 1_000_000
    may_reach = is_any if options.allow_private_addresses else is_public
    fetch = FetchBounds(max_bytes, options.fetch_timeout_s, options.max_redirects, may_reach)
    return ServerPolicy(credentials, options.max_answers, TransferBounds(max_bytes, options.body_timeout_s, fetch))


def _return_free_memory() -> None:
    """Let freed bodies of images go back to the system; call it before any thread starts.

    glibc raises the size above which it does so with every large block freed, up to 32 MB, and keeps what it has cut
    up, in a heap for each of the threads that fetch images: the server grew to 300 MB where it now stays at 80.
    """
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no mallopt and no such habit
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
        libc.mallopt(_M_ARENA_MAX, 1)  # one heap; Python's own lock lets few threads ask it at once


class _WithoutMessages(logging.Formatter):
    """Tracebacks keep their places and lose their messages: those of a library may quote what was sent."""

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return "".join([*traceback.format_tb(ei[2]), ei[0].__name__ if ei[0] else ""])


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_WithoutMessages("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn.error").addFilter(_is_no_cancelled_request)


def _is_no_cancelled_request(record: logging.LogRecord) -> bool:
    """What was in progress when the server stopped is counted in one line; a traceback of each says nothing more."""
    return not (record.exc_info and record.exc_info[0] is asyncio.CancelledError)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
