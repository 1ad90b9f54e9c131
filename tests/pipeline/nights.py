"""Two whole runs and a half-finished one over fictional people, as the pipeline writes them; always the same."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.model.record import JournalRecord, RecordStatus
from cardbeam.run_state.layout import JOURNAL, of_run
from cardbeam.run_state.receipt import Receipt
from cardbeam.storage.folder import LocalFolder
from cardbeam.storage.state_file import write_state
from cardbeam.tables.files.table_file import TableRows, write_parquet
from cardbeam.tables.finalize import finalize_run
from cardbeam.tables.parts.part_plan import plan_parts
from pipeline.runs.registry import Run
from schemas.documents import DOCUMENTS
from schemas.fields import Kind
from tests.parts import read_part
from tests.records import write_segment

FIRST, SECOND, HALF = "20261121T010000Z", "20261122T010000Z", "20261123T010000Z"
_DISTRICTS = (("Quận Mẫu", 5), ("Huyện Thử", 3), ("Thị xã Ví Dụ", 2))
_SURNAMES, _GIVEN = ("Nguyễn", "Trần", "Đặng"), ("Văn Mẫu", "Thị Thử", "Minh Ví Dụ")
_ASCII = str.maketrans("ễầặẫịửíụĐ", "eaaaiuiuD")
_WARNINGS = {"0": "Successful", "2": "The picture is a photocopy version of the id card"}
_STATUS_OF_COUNT = {"succeeded": "succeeded", "dead_lettered": "failed"}
_FAILURES = (
    ("error_1", "The photo does not contain content", False),
    ("unreadable_image", "Not a whole image or PDF that can be sent", False),
    ("http_503", "The endpoint answered HTTP 503", True),
)


def _date(rng: random.Random, first: int, last: int) -> str:
    return f"{rng.randint(1, 28):02}-{rng.randint(1, 12):02}-{rng.randint(first, last)}"


def person(rng: random.Random) -> dict[str, object]:
    """What is on somebody's cards, by field; `sur_name` and `given_name` as the machine-readable zone writes them."""
    surname, given = rng.choice(_SURNAMES), rng.choice(_GIVEN)
    district = rng.choices([name for name, _ in _DISTRICTS], [weight for _, weight in _DISTRICTS])[0]
    number = f"{rng.randrange(10**12):012}"
    names = {
        "id": number,
        "person_number": number,
        "name": f"{surname} {given}".upper(),
        "full_name": f"{surname} {given}".upper(),
        "sur_name": surname.translate(_ASCII).upper(),
        "given_name": given.translate(_ASCII).upper(),
    }
    dates = {"dob": _date(rng, 1950, 2005), "issue_date": _date(rng, 2018, 2025), "due_date": _date(rng, 2026, 2035)}
    place = {"address": f"Số {rng.randint(1, 99)}, {district}", "address_district": district, "class": "B2"}
    return {**names, **dates, **place, "gender": rng.choice(("nam", "nữ")), "nationality": "Việt Nam"}


def info(rng: random.Random, document_type: str, known: Mapping[str, object]) -> dict[str, object]:
    """Every field of a type: what is known of the person, a confidence, a box, or nothing."""
    made: dict[str, object] = {}
    for field in DOCUMENTS[document_type]:
        if field.kind is Kind.CONFIDENCE:
            weak = field.name in ("address_confidence", "issue_date_confidence")
            made[field.name] = round(rng.betavariate(5 if weak else 30, 1), 3)
        elif field.kind is Kind.BOX:
            made[field.name] = [10, 20, 110, 40]
        elif field.name in known:
            made[field.name] = known[field.name]
        else:
            made[field.name] = ""
    return made


def response(rng: random.Random, *documents: tuple[str, Mapping[str, object]]) -> bytes:
    """An answer with these documents; one in eight is warned about."""
    data = []
    for document_type, known in documents:
        code = "2" if rng.random() < 0.125 else "0"
        judgement = {"valid": str(code == "0"), "invalidCode": code, "invalidMessage": _WARNINGS[code]}
        data.append({"type": document_type, "info": info(rng, document_type, known), **judgement})
    return json.dumps({"errorCode": "0", "errorMessage": "Success", "data": data}).encode()


def ledger_record(run_id: str, number: int, uris: tuple[str, ...], **others: object) -> JournalRecord:
    """A record of some run, calls 50 ms apart."""
    began = datetime.strptime(run_id, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    at = int(began.timestamp() * 1e6) + number * 50_000
    text: dict[str, object] = {
        "item_id": hashlib.sha256(f"{run_id} {uris}".encode()).hexdigest()[:32],
        "source_id": hashlib.sha256(f"source {run_id} {uris}".encode()).hexdigest()[:32],
        "outcome": RecordStatus.SUCCEEDED.value,
        "operation": "ekyc/cards" if len(uris) == 2 else "ekyc/card",
        "labels": (("branch", ("north", "south")[number % 2]), ("customer_id", f"C-{number:03}")),
        "http_status": 200,
        "attempts": 1 + (number % 20 == 19),
        "latency_s": 0.2 + (number * 37 % 100) / 200,
        "image_bytes": 150_000 + number * 1_000,
        **others,
    }
    return JournalRecord(uris=uris, started_at=at, completed_at=at, **text)  # type: ignore[arg-type]  # said is complete


def failure(run_id: str, number: int, uri: str, code: str, message: str, retriable: bool) -> JournalRecord:
    """A dead letter."""
    stage = "read" if code == "unreadable_image" else "call"
    status = 503 if code == "http_503" else None
    words = {"stage": stage, "code": code, "message": message, "retriable": retriable, "http_status": status}
    return ledger_record(run_id, number, (uri,), outcome=RecordStatus.FAILED.value, **words)


def first_night(rng: random.Random) -> Iterator[JournalRecord]:
    """Both sides of chip cards (on one in ten they differ), passports, licences, old cards, and some failures."""
    people = [person(rng) for _ in range(60)]
    for number, front in enumerate(people):
        back = dict(front)
        if number % 20 == 3:
            back["person_number"] = "000000000000"
        if number % 20 == 13:
            back["dob"] = "01-01-1970"
        uris = (f"s3://photos/2026/11/{number:03}-front.jpg", f"s3://photos/2026/11/{number:03}-back.jpg")
        answer = response(rng, ("chip_id_card_front", front), ("chip_id_card_back", back))
        yield ledger_record(FIRST, number, uris, response=answer)
    singles = ["passport"] * 30 + ["driving_license"] * 20 + ["9_id_card_front"] * 12
    for number, document_type in enumerate(singles, start=60):
        holder = people[number % 60] if number % 10 == 4 else person(rng)
        answer = response(rng, (document_type, holder))
        yield ledger_record(FIRST, number, (f"s3://photos/2026/11/{number:03}.jpg",), response=answer)
    for number in range(12):
        yield failure(FIRST, 130 + number, f"s3://photos/2026/11/failed-{number:02}.jpg", *_FAILURES[number % 3])


def second_night(rng: random.Random) -> Iterator[JournalRecord]:
    """New passports; two images taken again under the same name; two dead letters answered, one failed again."""
    names = [f"{number:03}" for number in range(200, 225)] + ["060", "061", "failed-02", "failed-05"]
    for number, name in enumerate(names):
        answer = response(rng, ("passport", person(rng)))
        yield ledger_record(SECOND, number, (f"s3://photos/2026/11/{name}.jpg",), response=answer)
    yield failure(SECOND, 40, "s3://photos/2026/11/failed-08.jpg", *_FAILURES[2])


def write_tables(
    folder: LocalFolder, run_id: str, records: Iterable[JournalRecord]
) -> tuple[list[object], list[object]]:
    """The tables of a run, by way of its journal, without a receipt."""
    write_segment(folder, f"{of_run(JOURNAL, run_id)}/writer-000000.journal", records)
    parts, files = [], []
    for part in plan_parts(folder, run_id):
        tables, counts = read_part(folder, part)
        parts.append(counts)
        files += [write_parquet(folder, TableRows(table, run_id, part.name, rows)) for table, rows in tables.items()]
    return parts, files


def write_run(folder: LocalFolder, run_id: str, records: Iterable[JournalRecord], deferred: int = 0) -> Receipt:
    """A whole run, as its last stage leaves it."""
    records = list(records)
    parts, files = write_tables(folder, run_id, records)
    outcomes = {name: sum(record.outcome == status for record in records) for name, status in _STATUS_OF_COUNT.items()}
    settings = Settings(
        InputSettings(("s3://photos/2026/11/**/*.jpg",)),
        EndpointSettings(),
        RateSettings(max_requests_per_second=20, price_per_call=0.02),
        OutputSettings(folder.root, run_id),
    )
    began = datetime.strptime(run_id, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    counts = {"found": len(records) + deferred, "deferred": deferred, **outcomes}
    ended = began + timedelta(minutes=5)
    return finalize_run(folder, settings, counts, parts, files, started_at=began, finished_at=ended)  # type: ignore[arg-type]


def write_nights(root: Path) -> LocalFolder:
    """Two runs with their receipts, and one whose tables are there without one."""
    written = _nights()
    shutil.copytree(written, root, dirs_exist_ok=True)
    for receipt in root.glob("runs/*/receipt.json"):
        receipt.write_text(receipt.read_text().replace(str(written), str(root)))
    return LocalFolder(str(root))


@cache
def _nights() -> Path:
    """They take a quarter of a second to write."""
    root, rng = Path(tempfile.mkdtemp(prefix="nights-")), random.Random(8)
    folder = LocalFolder(str(root))
    write_run(folder, FIRST, first_night(rng))
    write_run(folder, SECOND, second_night(rng))
    half = [ledger_record(HALF, 0, ("s3://photos/2026/11/300.jpg",), response=response(rng, ("passport", person(rng))))]
    write_tables(folder, HALF, half)
    write_state(folder, f"runs/{HALF}/run.json", Run(HALF, "backfill", "2026-11-24T01:00:00+00:00"))
    return root
