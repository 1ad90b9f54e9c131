"""Carries a plan out: files about runs first, for the ledger tells what they name; then journals; then run by run.

Every step can be killed and made again. Whoever calls this holds the output's lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.erasure.control_files import remove_derived, scrub_control_files
from cardbeam.erasure.drops import Drop, count_values, totals
from cardbeam.erasure.journal import erase_in_journal
from cardbeam.erasure.plan import Certificate, ErasurePlan, certificate_path, open_plans, plan_path, write_plan
from cardbeam.erasure.rewrite_run import Erasing, erase_in_run
from cardbeam.erasure.rows import GONE, ItemSet, as_mask, parquet_paths, read_columns
from cardbeam.erasure.selection.select_items import uris_of
from cardbeam.model.record import RecordStatus
from cardbeam.run_state.layout import DEAD_LETTERS, DOCUMENTS, LEDGER, run_id_of
from cardbeam.run_state.replaced_files import delete_replaced
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import write_state


def finish_erasures(folder: Folder, now: datetime) -> list[ErasurePlan]:
    """Carry out what earlier commands were killed in; the plans that it was, of which a catalog may be left.

    Raises:
        DamagedFile: a plan, or a file that it is about, is not whole.
    """
    return [apply_plan(folder, plan, now) for plan in open_plans(folder)]


def apply_plan(folder: Folder, plan: ErasurePlan, now: datetime) -> ErasurePlan:
    """Erase from the output; the plan as it is then. Without a catalog it ends with the certificate.

    Raises:
        DamagedFile: a file is not whole.
    """
    if not plan.is_applied:
        _apply(folder, plan)
        plan = replace(plan, is_applied=True)
        if plan.catalog:
            write_plan(folder, plan)
    if not plan.catalog:
        certify(folder, plan, now)
    return plan


def _apply(folder: Folder, plan: ErasurePlan) -> None:
    items, drops = ItemSet(plan.item_ids), tuple(map(Drop.of, plan.drops))
    _, since = count_rows(folder, plan.item_ids)  # a run may have ended since it was planned
    run_ids = sorted({*plan.run_ids, *since})
    if not plan.forget:
        delete_replaced(folder)  # they are kept for queries, and hold what is erased
        scrub_control_files(folder, uris_of(folder, items), run_ids if plan.policy else None)
        erase_in_journal(folder, items, drops)
    remove_derived(folder, run_ids)
    status = RecordStatus.FORGOTTEN if plan.forget else RecordStatus.ERASED
    for run_id in run_ids:
        erase_in_run(folder, run_id, Erasing(plan.erasure_id, items, status, drops))


def certify(folder: Folder, plan: ErasurePlan, now: datetime) -> None:
    """Look for what is left, write the certificate, and take the plan away."""
    rows_after = count_left(folder, plan)
    text = {name: value for name, value in asdict(plan).items() if name in Certificate.__slots__}
    certificate = Certificate(
        completed_at=now.isoformat(timespec="seconds"), rows_before=plan.before, rows_after=rows_after, **text
    )
    write_state(folder, certificate_path(plan.erasure_id), certificate)
    folder.delete([plan_path(plan.erasure_id)])


def count_left(folder: Folder, plan: ErasurePlan) -> dict[str, int]:
    """What there is of a plan's items and values, by table or by what is dropped."""
    drops = [Drop.of(one) for one in plan.drops]
    return {**count_rows(folder, plan.item_ids)[0], **totals(zip(drops, count_values(folder, drops)[0], strict=True))}


def count_rows(folder: Folder, item_ids: Iterable[str]) -> tuple[dict[str, int], set[str]]:
    """Rows of some items by table, of the ledger those that are not erased; and the runs with any row of them."""
    items, counts, runs = ItemSet(item_ids), Counter[str](), set[str]()
    for table in (DOCUMENTS, DEAD_LETTERS, LEDGER):
        for path in parquet_paths(folder, table):
            rows = read_columns(folder, path, ["item_id", *(["outcome"] if table == LEDGER else [])])
            mask = items.mask(rows["item_id"])
            if mask.any():
                runs.add(run_id_of(path) or "")
            if table == LEDGER:
                mask &= ~as_mask(pc.is_in(rows["outcome"], value_set=pa.array(sorted(GONE))))
            counts[table] += int(mask.sum())
    return dict(counts), runs
