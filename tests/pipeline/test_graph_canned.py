"""A canned response of each document type, over HTTP, through the whole graph: every field comes back from Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.model.request import item_id_of
from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.storage.folder import LocalFolder
from pipeline.graph import backfill
from schemas.document_tables import schema_of
from tests.canned import CANNED, DATES, Info, columns_of
from tests.servers import Answer, CardServer, envelope
from tests.wire import key_of

VALIDITY_FIELDS = {"valid": "True", "invalidCode": "0", "invalidMessage": "Successful"}
ODD_JUDGEMENT = {"valid": False, "invalidCode": 5, "invalidMessage": None}
NO_BOXES = (None, [], "", "absent")
"""What stands for a box that is not there; the last by its absence."""

Row = dict[str, object]


@pytest.fixture
def cards(tmp_path: Path, draw: Callable[..., bytes]) -> dict[str, bytes]:
    """An image for each type, in a folder."""
    (tmp_path / "cards").mkdir()
    images = {name: draw(number) for number, name in enumerate(CANNED)}
    for name, content in images.items():
        (tmp_path / "cards" / f"{name}.jpg").write_bytes(content)
    return images


def run(folder: Path, server: CardServer) -> Receipt:
    """The whole graph over the folder's cards."""
    settings = Settings(
        InputSettings(input=(str(folder / "cards" / "*.jpg"),)),
        EndpointSettings(endpoint_url=server.base_url),
        RateSettings(max_requests_per_second=0, max_in_flight=8),
        OutputSettings(output=str(folder / "output"), run_id="r1"),
    )
    options = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
    with beam.Pipeline(options=options) as pipeline:
        backfill(pipeline, settings, datetime(2026, 11, 22, tzinfo=timezone.utc))
    receipt = read_receipt(LocalFolder(str(folder / "output")), "r1")
    assert receipt is not None
    return receipt


def tables(folder: Path) -> dict[str, pa.Table]:
    """Each type's table, as a reader finds it: by its folder, whatever the files are called."""
    return {
        name: pa.concat_tables(
            [
                pq.ParquetFile(path).read()
                for path in (folder / "output" / "documents" / f"type={name}").rglob("*.parquet")
            ]
        )
        for name in CANNED
    }


def answer_of(responses: Mapping[str, Answer], cards: Mapping[str, bytes]) -> Callable[..., Answer]:
    by_image = {key_of(cards[name]): response for name, response in responses.items()}
    return lambda got: by_image[got.key]


@pytest.mark.usefixtures("credentials")
def test_every_field_of_every_type_comes_back(tmp_path: Path, cards: dict[str, bytes]) -> None:
    """One response of each type, all 286 fields in it: twelve rows, each value in its column, typed as the schema
    says."""
    responses = {name: envelope([{"type": name, "info": info, **VALIDITY_FIELDS}]) for name, info in CANNED.items()}
    with CardServer(answer_of(responses, cards)) as server:
        receipt = run(tmp_path, server)
        assert dict(server.calls) == {key_of(content): 1 for content in cards.values()}
    fields = 0
    for name, table in tables(tmp_path).items():
        assert table.schema.equals(schema_of(name))
        (row,) = table.to_pylist()
        assert row.pop("called_at").tzinfo is not None
        assert row == {
            **common(name, tmp_path, cards),
            "valid": True,
            "invalid_code": "0",
            "invalid_message": "Successful",
            **columns_of(CANNED[name]),
            "extra": [],
        }
        fields += len(CANNED[name])
    assert fields == 286
    assert receipt.requests == {**dict.fromkeys(receipt.requests, 0), "found": 12, "succeeded": 12, "called": 12}
    assert receipt.documents == dict.fromkeys(receipt.documents, 1) and set(receipt.documents) == set(CANNED)
    assert (receipt.status, receipt.reconciled, receipt.dead_letters) == ("complete", True, {})


def common(name: str, folder: Path, cards: Mapping[str, bytes]) -> Row:
    return {
        "item_id": item_id_of("ekyc/card", [cards[name]]),
        "document_index": 0,
        "operation": "ekyc/card",
        "uris": [str(folder / "cards" / f"{name}.jpg")],
        "labels": [],
    }


@pytest.mark.usefixtures("credentials")
def test_liberal_forms_come_back_alike(tmp_path: Path, cards: dict[str, bytes]) -> None:
    """Numbers for strings, strings for numbers, boxes missing, null and empty, `data` as an object, undocumented keys.

    Each document still is a row: what can be read is in its column, what does not fit is null there and in `extra`.
    """
    odd = {name: liberal(info) for name, info in CANNED.items()}
    responses = {
        name: envelope(
            {"type": name, "info": {**info, "note": {"by": name}}, "side": 1, **ODD_JUDGEMENT}, 0, TransactionId=name
        )
        for name, (info, _, _) in odd.items()
    }
    with CardServer(answer_of(responses, cards)) as server:
        receipt = run(tmp_path, server)
    for name, table in tables(tmp_path).items():
        _, columns, invalid_rows = odd[name]
        (row,) = table.to_pylist()
        extra = {key: json.loads(text) for key, text in row.pop("extra")}
        assert extra == {**invalid_rows, "note": {"by": name}, "side": 1, "TransactionId": name}
        assert row.pop("called_at") is not None
        assert row == {
            **common(name, tmp_path, cards),
            "valid": False,
            "invalid_code": "5",
            "invalid_message": None,
            **columns,
        }
    assert (receipt.status, receipt.requests["succeeded"], receipt.dead_letters) == ("complete", 12, {})


def liberal(info: Info) -> tuple[Info, Row, Info]:
    """A canned response in the liberal forms: as it is sent, the columns it must give, and what must be in `extra`."""
    sent: Info = {}
    columns: Row = {}
    invalid_rows: Info = {}
    for number, (name, value) in enumerate(info.items()):
        usual = columns_of({name: value})
        columns |= usual
        sent[name] = value
        if isinstance(value, list):
            columns |= _odd_box(sent, name, number)
        elif name.endswith("confidence"):
            sent[name] = str(value)
        elif name in DATES:
            sent[name] = str(value).replace("-", "/")
            columns[f"{name}_text"] = sent[name]
        elif isinstance(value, str) and value.isdigit() and not value.startswith("0"):
            sent[name] = int(value)
        elif name == "image":
            sent[name] = None if number % 2 else ""
            columns[name] = None
        elif number % 3 == 0:
            sent[name] = invalid_rows[name] = {"text": value}
            columns[name] = None
    return sent, columns, invalid_rows


def _odd_box(sent: Info, name: str, number: int) -> Row:
    """Every second box is given in floats and strings; of the others each is missing in its own way."""
    left, top, right, bottom = sent[name]
    if number % 2:
        sent[name] = [left + 0.25, str(top), float(right), bottom]
        return {}
    missing = NO_BOXES[number // 2 % len(NO_BOXES)]
    if missing == "absent":
        del sent[name]
    else:
        sent[name] = missing
    return {name: None}


def test_the_liberal_responses_hold_every_form() -> None:
    """The liberal responses are what they claim: each odd form stands in at least one of them."""
    sent = [liberal(info)[0] for info in CANNED.values()]
    values = [value for info in sent for value in info.values()]
    assert sum(len(info) for info in sent) < 286  # some boxes are missing
    assert {None, ""} <= {value for value in values if not isinstance(value, (list, dict))}
    assert [] in values
    assert any(isinstance(value, list) and any(isinstance(side, float) for side in value) for value in values)
    assert any(type(value) is int for value in values)
    assert sum(len(liberal(info)[2]) for info in CANNED.values()) > 12


@pytest.mark.usefixtures("credentials")
def test_the_same_run_again_costs_nothing(tmp_path: Path, cards: dict[str, bytes]) -> None:
    """Run again under its name, as after a crash before the receipt, it calls nothing and shows the same rows."""
    responses = {name: envelope([{"type": name, "info": info, **VALIDITY_FIELDS}]) for name, info in CANNED.items()}
    with CardServer(answer_of(responses, cards)) as server:
        first = run(tmp_path, server)
        rows = {name: table.to_pylist() for name, table in tables(tmp_path).items()}
        (tmp_path / "output" / "runs" / "r1" / "receipt.json").unlink()
        again = run(tmp_path, server)
        assert len(server.received) == 12
    assert {name: table.to_pylist() for name, table in tables(tmp_path).items()} == rows
    assert (again.requests, again.calls, again.documents) == (first.requests, first.calls, first.documents)
