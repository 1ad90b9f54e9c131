"""Arrow schemas of the tables beside the documents: the ledger and the dead letters.

The ledger has one row for each input that was settled, answered or not, and is all that
`publish` needs; the dead letters are a view of it made into a table.
"""

from __future__ import annotations

import pyarrow as pa

from schemas.document_tables import LABELS, TIMESTAMP, column

_ITEM_ID = column("item_id", pa.string(), "Key of the request: a hash of the operation and of its pictures, hex")
_URIS = column("uris", pa.list_(pa.string()), "Pictures of the request, front first")
_LABELS = column("labels", LABELS, "The user's labels of the request")
_OPERATION = column("operation", pa.string(), "Path of the call")
_STAGE = column("stage", pa.string(), "Where it died: read, call or parse")
_CODE = column("code", pa.string(), "Why it died; the README says what to do about each code")
_MESSAGE = column("message", pa.string(), "The reason in words; never holds card text")
_HTTP_STATUS = column("http_status", pa.int32(), "Status of the last reply; null where there was none")
_ATTEMPTS = column("attempts", pa.int32(), "Requests sent for it")
_RETRIABLE = column("retriable", pa.bool_(), "Whether the next backfill tries it again")
_FIRST_AT = column("first_at", TIMESTAMP, "When it was first taken up")
_LAST_AT = column("last_at", TIMESTAMP, "When it was settled")

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
        _FIRST_AT,
        _LAST_AT,
    ]
)

LEDGER_SCHEMA = pa.schema(
    [
        _ITEM_ID,
        column("source_id", pa.string(), "Hash of operation, URIs, sizes and versions, hex; null where unknown"),
        column(
            "outcome",
            pa.string(),
            "answered, dead, copy (the same pictures as another request), or not settled yet: retry, deferred",
        ),
        _OPERATION,
        _URIS,
        _LABELS,
        _STAGE,
        _CODE,
        _MESSAGE,
        _HTTP_STATUS,
        _ATTEMPTS,
        _RETRIABLE,
        _FIRST_AT,
        _LAST_AT,
        column("latency_s", pa.float32(), "Seconds from the last attempt's start to its reply"),
        column("picture_bytes", pa.int64(), "Bytes of its pictures together; null where they were not read"),
        column(
            "input_id", pa.string(), "Hash of source and labels, hex; null where source_id alone identifies the input"
        ),
        column("reply", pa.binary(), "The reply as it came; null where none was paid for"),
    ]
)
"""One row for each settled input, newest fields last; `reply` stays the last column."""
