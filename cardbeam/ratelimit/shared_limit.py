"""A folder for the leases of several outputs: which limit they keep together, said once by a file in it.

Shares of the leases add up only where all workers have the same limit (see `lease`): another one is refused.
"""

from __future__ import annotations

import orjson

from cardbeam.errors import CardbeamError
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import decode_json

LIMIT_FILE = "limit.json"
_RATE = "max_requests_per_second"


class OtherLimit(CardbeamError):
    """The folder is for another limit than the one that was asked for."""


def agree_on_limit(folder: Folder, rate_per_s: float) -> None:
    """Have the folder be for this limit, if it is for none yet.

    Raises:
        OtherLimit: it is for another one, or does not say which.
        OSError: the store does not tell.
    """
    if folder.create(LIMIT_FILE, orjson.dumps({_RATE: rate_per_s})):
        return
    where = f"{folder.root.rstrip('/')}/{LIMIT_FILE}"
    try:
        agreed = decode_json(LIMIT_FILE, folder.read(LIMIT_FILE), dict[str, float]).get(_RATE)
    except DamagedFile:
        agreed = None
    if agreed is None:
        raise OtherLimit(f"{where} holds no limit: end all runs that share --rate_uri, then delete it")
    if agreed != rate_per_s:
        raise OtherLimit(
            f"--rate_uri is for {agreed:g} requests a second, and --{_RATE} is {rate_per_s:g}: give the same; to "
            f"change it, end all runs that share the folder, then delete {where}"
        )
