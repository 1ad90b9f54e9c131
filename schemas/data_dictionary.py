"""Every column of every table, as the page docs/data-dictionary.md.

`python -m schemas.data_dictionary > docs/data-dictionary.md` writes the page from the schemas.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from schemas.document_tables import COMMON_COLUMNS, EXTRA_COLUMN, schema_of, schema_of_all
from schemas.documents import DOCUMENTS
from schemas.run_tables import DEAD_LETTERS_SCHEMA, LEDGER_SCHEMA
from schemas.value_converters import BOX_TYPE

_WIDTH = 100
_HEAD = """\
# Which columns does each table have?

`python -m schemas.data_dictionary > docs/data-dictionary.md` writes this page from the schemas. The
same texts are in the Arrow field metadata of each file and in the comments of
`duckdb_columns()`.

A value that is not in the response is null or empty, as the endpoint sent it. A value that does not
fit its column is null, and stands in `extra`. Times are in UTC. The views of `sql` are in
[analytics](analytics.md).
"""
_TYPES: dict[pa.DataType, str] = {
    pa.date32(): "date32",
    pa.float32(): "float32",
    pa.timestamp("us", tz="UTC"): "timestamp in microseconds, UTC",
    pa.map_(pa.string(), pa.string()): "map of string to string",
    pa.list_(pa.string()): "list of string",
    BOX_TYPE: "struct of left, top, right, bottom: int32",
}
"""How the page names an Arrow type; any other is named as Arrow names it."""


def data_dictionary() -> str:
    """The whole page."""
    return "\n".join(_blocks())


def _blocks() -> Iterator[str]:
    shared = {field.name for field in (*COMMON_COLUMNS, EXTRA_COLUMN)}
    yield _HEAD
    yield _section("Columns of all document tables", "", COMMON_COLUMNS)
    fields = sorted((field for field in schema_of_all() if field.name not in {*shared, "type", "run_id"}), key=_name)
    yield _section("Fields", "Each stands in the tables that [name it](#tables-of-documents).", fields)
    yield _section("The last column of all document tables", "", [EXTRA_COLUMN])
    yield from _document_tables(shared)
    partitions = [field for field in schema_of_all() if field.name in ("type", "run_id")]
    yield _section("Partitions", "They stand in the path of a file, not in the file.", partitions)
    yield _section("Dead letters", "One row for each image that failed, in `dead_letters/`.", DEAD_LETTERS_SCHEMA)
    yield _section("Ledger", "One row for each processed input, in `ledger/`.", LEDGER_SCHEMA)


def _document_tables(shared: set[str]) -> Iterator[str]:
    """Each document type with the names of its own columns."""
    yield "## Tables of documents\n"
    for document_type in DOCUMENTS:
        names = ", ".join(f"`{name}`" for name in schema_of(document_type).names if name not in shared)
        yield f"### {document_type}\n\n{_wrapped(names)}\n"


def _section(title: str, text: str, columns: Iterable[pa.Field]) -> str:
    """A heading, and one line of the list for each column."""
    lines = "\n".join(_line(column) for column in columns)
    return f"## {title}\n\n" + (f"{_wrapped(text)}\n\n" if text else "") + f"{lines}\n"


def _line(column: pa.Field) -> str:
    kind = _TYPES.get(column.type, str(column.type))
    return _wrapped(f"- `{column.name}` ({kind}): {column.metadata[b'doc'].decode()}.", "  ")


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _name(column: pa.Field) -> str:
    return str(column.name)


def main(arguments: Sequence[str]) -> int:
    """Print the page; the exit status."""
    if arguments:
        print("usage: python -m schemas.data_dictionary > docs/data-dictionary.md", file=sys.stderr)
        return 2
    sys.stdout.write(data_dictionary())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
