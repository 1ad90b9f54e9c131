"""Keeps a long-lived reading process small and quick: memory is used again within an image and given back after it."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_HEAP_BLOCK_BYTES = 4 << 20
"""A plane of a card in single precision is 2.5 MB. Larger blocks come from the system, zeroed, and go back at once."""
_KEPT_BYTES = 512 << 20


def keep_blocks_for_reuse() -> bool:
    """Let blocks of up to 4 MB come from the heap; False where the C library has no such setting.

    A card passes through dozens of arrays of up to 3 MB. Taken from the system each time they cost 35,000 page faults
    a card, 60 ms of 340. Whole sheets and decoded images are few and large: in the heap they would leave holes that
    later blocks fill here and there, so that a worker that had read large images held up to 70 MB more for any other.
    """
    return _mallopt(_M_MMAP_THRESHOLD, _HEAP_BLOCK_BYTES) and _mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def give_back() -> bool:
    """Return what is free to the system (8 ms, with the faults that follow); False where nothing was, or no way is."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError, TypeError):
        return False


def _mallopt(parameter: int, value: int) -> bool:
    try:
        return bool(ctypes.CDLL(None).mallopt(parameter, value))
    except (AttributeError, OSError, TypeError):
        return False
