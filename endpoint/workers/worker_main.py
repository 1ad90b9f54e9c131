"""Image -> ImageAnswer, inside a worker process. The server imports this module, so the reader is loaded late."""

from __future__ import annotations

import contextlib
import os
import pkgutil
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil

from endpoint.answers import ImageAnswer, answer_of
from endpoint.errors import EndpointError

if TYPE_CHECKING:
    from endpoint.answers import Card


class Reader(Protocol):
    """What reads cards: `endpoint.reader.card_reader.CardReader`, or another class of the same shape."""

    def read(self, image: bytes, *, get_thumb: bool) -> Sequence[Card]:
        """Image -> cards; raises endpoint.reader.card_reader.NotAnImage for bytes that are none."""
        ...


MakeReader = str | Callable[[], Reader]
"""The reader's class or a function that makes one; as text, its importable name ("package.module:Name")."""


class ReaderFailed(EndpointError):
    """The reader broke on an image. The message says what broke and where, never what stood on the card."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer, and what its worker holds in memory and has spent of processor time since it was started."""

    answer: ImageAnswer
    worker_mb: float
    worker_cpu_s: float


_readers: list[Reader] = []  # the one reader of this process; loky's initializer can leave its work nowhere else
_taken: list[bytes] = []  # pieces of the image that is on its way


def init_worker(make_reader: MakeReader, server_pid: int) -> None:
    """Set this process up as a worker: the reader opened, Ctrl-C left to the server, no life without the server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(server_pid,), daemon=True).start()
    make = pkgutil.resolve_name(make_reader) if isinstance(make_reader, str) else make_reader
    _readers[:] = [make()]


def receive_chunk(piece: bytes) -> None:
    """Keep a piece of a large image until its last one is here: in one piece it would be held three times over."""
    _taken.append(piece)


def read_image(last: bytes, get_thumb: bool, says_valid: bool) -> Reading:
    """One image -> its answer; `last` is all of it that was not taken before.

    Raises ReaderFailed where the reader raises anything but NotAnImage.
    """
    from endpoint.answers import NotAnImage  # noqa: PLC0415  # heavy libraries: loaded in workers only

    image = b"".join((*_taken, last)) if _taken else last
    _taken.clear()
    try:
        cards = _readers[0].read(image, get_thumb=get_thumb)
        answer = answer_of(cards, image=image, says_valid=says_valid)
    except NotAnImage:
        answer = ImageAnswer("3")
    except Exception as error:  # any bug of the reader, stripped of its text before it leaves
        raise ReaderFailed(_place_of(error)) from None
    process = psutil.Process()
    return Reading(answer, process.memory_info().rss / 1e6, sum(process.cpu_times()[:2]))


def _end_with(server_pid: int) -> None:
    """A server that was killed can't stop its workers, and they would wait for images for ever."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(server_pid).wait()
    os._exit(0)


def _place_of(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
