"""Arrow schemas of the tables beside the documents: the ledger and the dead letters.

The ledger has one row for each input that was processed, answered or not, and is all that
`publish` needs; the dead letters are a view of it made into a table.
"""

from __future__ import annotations

import pyarrow as pa

from schemas.document_tables import LABELS, TIMESTAMP, column

_ITEM_ID = column("item_id", pa.string(), "Key of the request: a hash of the operation and of its images, hex")
_URIS = column("uris", pa.list_(pa.string()), "Images of the request, front first")
_LABELS = column("labels", LABELS, "The user's labels of the request")
_OPERATION = column("operation", pa.string(), "Path of the call")
_STAGE = column("stage", pa.string(), "Where it failed: read, call or parse")
_CODE = column("code", pa.string(), "Why it failed; the README says what to do about each code")
_MESSAGE = column("message", pa.string(), "The reason in words; never holds card text")
_HTTP_STATUS = column("http_status", pa.int32(), "Status of the last response; null where there was none")
_ATTEMPTS = column("attempts", pa.int32(), "Requests sent for it")
_RETRIABLE = column("retriable", pa.bool_(), "Whether the next backfill tries it again")
_STARTED_AT = column("started_at", TIMESTAMP, "When it was first taken up")
_COMPLETED_AT = column("completed_at", TIMESTAMP, "When it was processed")

DEAD_LETTERS_SCHEMA = pa.schema(
    [
        _ITEM_ID,
        _URIS,
        _LABELS,
        _OPERATION,
        _STAGE,
        _CODE,
        _MESSAGE,
        _HTTP_STATUS,
        _ATTEMPTS,
        _RETRIABLE,
        _STARTED_AT,
        _COMPLETED_AT,
    ]
)

LEDGER_SCHEMA = pa.schema(
    [
        _ITEM_ID,
        column("source_id", pa.string(), "Hash of operation, URIs, sizes and versions, hex; null where unknown"),
        column(
            "outcome",
            pa.string(),
            "succeeded, failed, duplicate (the same images as another request), erased, forgotten (erased, and may be "
            "sent again), or not processed yet: retry, deferred",
        ),
        _OPERATION,
        _URIS,
        _LABELS,
        _STAGE,
        _CODE,
        column(
            "message",
            pa.string(),
            "The reason in words, never with card text; of a success in what form other than its own an image was sent",
        ),
        _HTTP_STATUS,
        _ATTEMPTS,
        _RETRIABLE,
        _STARTED_AT,
        _COMPLETED_AT,
        column("latency_s", pa.float32(), "Seconds from the last attempt's start to its response"),
        column("image_bytes", pa.int64(), "Bytes of its images together; null where they were not read"),
        column(
            "input_id", pa.string(), "Hash of source and labels, hex; null where source_id alone identifies the input"
        ),
        column(
            "response",
            pa.binary(),
            "The response as it came; null where none was paid for, or (code response_dropped) it is no longer kept",
        ),
    ]
)
"""One row for each processed input, newest fields last; `response` stays the last column."""
