"""What is to be erased, written down before the first file is touched: whoever goes on after a kill reads it.

A plan names items and runs. It holds no URI, no label and no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import read_state, write_state

ERASURES = "erasures"
PLAN_FILE, CERTIFICATE_FILE = "plan.json", "certificate.json"
_REWRITTEN = re.compile(r"-e[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What plan.json holds."""

    erasure_id: str
    requested_at: str
    requested_by: str
    item_ids: list[str]
    run_ids: list[str]
    """Runs with a row of these items."""
    selected_by: dict[str, int]
    """How many values each option gave; the values may be personal."""
    before: dict[str, int]
    """Rows of these items by table, as they were found first."""
    forget: bool = False
    catalog: str = ""
    namespace: str = ""
    is_applied: bool = False
    """Whether the output is done, and the catalog alone is left."""
    unsearched: list[str] = field(default_factory=list)
    """Segments of the journal that are damaged: what their damaged bytes hold is not known."""
    policy: str = ""
    """Which retention policy asked for it, if one did; then `selected_by` has counts by rule."""
    drops: list[dict[str, Any]] = field(default_factory=list)
    """What goes of rows that stay, as `Drop` writes it."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What certificate.json holds, once nothing is left of the items."""

    erasure_id: str
    requested_at: str
    requested_by: str
    completed_at: str
    item_ids: list[str]
    run_ids: list[str]
    selected_by: dict[str, int]
    rows_before: dict[str, int]
    rows_after: dict[str, int]
    forget: bool
    catalog: str
    unsearched: list[str]
    policy: str


def plan_path(erasure_id: str) -> str:
    """The file of a plan."""
    return f"{ERASURES}/{erasure_id}/{PLAN_FILE}"


def certificate_path(erasure_id: str) -> str:
    """The file of a certificate."""
    return f"{ERASURES}/{erasure_id}/{CERTIFICATE_FILE}"


def write_plan(folder: Folder, plan: ErasurePlan) -> None:
    """Put it in place: from now on the next command that takes the output's lock carries it out."""
    write_state(folder, plan_path(plan.erasure_id), plan)


def open_plans(folder: Folder) -> Iterator[ErasurePlan]:
    """The plans that are not carried out to their end, by name.

    Raises:
        DamagedFile: one is not whole.
    """
    for file in list(folder.list(ERASURES)):
        if file.path.endswith(f"/{PLAN_FILE}") and (plan := read_state(folder, file.path, ErasurePlan)) is not None:
            yield plan


def base_name(path: str) -> str:
    """What a table file was called before any of its rows was erased."""
    return _REWRITTEN.sub("", PurePosixPath(path).stem)


def rewritten_name(path: str, erasure_id: str) -> str:
    """What a table file is called once this erasure has rewritten it: never as it is called now."""
    return f"{base_name(path)}-e{erasure_id[-8:]}"
