"""What `erase` and `retain` have in common: the plan of some items, and what is left to do once the output is done."""

from __future__ import annotations

import getpass
import socket
import uuid
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timezone

from cardbeam.erasure.apply_plan import certify, count_left, count_rows
from cardbeam.erasure.plan import ErasurePlan, certificate_path
from cardbeam.journal.reader import list_segments
from cardbeam.run_state.layout import JOURNAL
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Folder
from cardbeam.tables.check_output import check_journal
from pipeline.catalog.iceberg.erase import erase_from_catalog
from pipeline.catalog.iceberg.register import CatalogSettings, open_catalog
from pipeline.cli.exit_codes import EXIT_COMPLETE, EXIT_FAILED
from pipeline.cli.terminal.output import tell


def new_plan(
    folder: Folder,
    item_ids: Collection[str],
    selected_by: dict[str, int],
    catalog: CatalogSettings,
    now: datetime,
    *,
    counted: tuple[dict[str, int], set[str]] | None = None,
) -> ErasurePlan:
    """A plan that erases some items, not yet written down; `counted` is what `count_rows` says of them."""
    rows, run_ids = counted or count_rows(folder, item_ids)
    return ErasurePlan(
        erasure_id=f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        requested_at=now.isoformat(timespec="seconds"),
        requested_by=f"{getpass.getuser()}@{socket.gethostname()}",
        item_ids=sorted(item_ids),
        run_ids=sorted(run_ids),
        selected_by=selected_by,
        before=rows,
        catalog=catalog.catalog,
        namespace=catalog.namespace if catalog.catalog else "",
        unsearched=_damaged_segments(folder),
    )


def _damaged_segments(folder: Folder) -> list[str]:
    damaged: list[DamagedFile] = []
    if any(True for _ in list_segments(folder, JOURNAL)):
        check_journal(folder, on_damage=damaged.append)
    return sorted({one.path for one in damaged})


def finish(folder: Folder, plan: ErasurePlan) -> int:
    """What is left once the output is done: the catalog, and the certificate of both; the exit status."""
    if plan.catalog:
        erase_from_catalog(open_catalog(plan.catalog), plan.namespace, folder, plan.run_ids)
        certify(folder, replace(plan, is_applied=True), datetime.now(timezone.utc))
    rows = count_left(folder, plan)
    tell(f"erasure {plan.erasure_id}: see {folder.root.rstrip('/')}/{certificate_path(plan.erasure_id)}")
    for path in plan.unsearched:
        tell(f"{path} is damaged: what its damaged bytes hold is not known. Remove it once it is of no use")
    return EXIT_FAILED if plan.unsearched or any(rows.values()) else EXIT_COMPLETE
