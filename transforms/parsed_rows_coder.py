"""How a runner that does not fuse parsing with writing carries ParsedRows: as Arrow's own stream, not pickled."""

from __future__ import annotations

import apache_beam as beam
import orjson
import pyarrow as pa
import pyarrow.ipc

from cardbeam.tables.parts.parsed_rows import ParsedRows

_LENGTH_BYTES = 4


class ParsedRowsCoder(beam.coders.Coder):
    """ParsedRows <-> bytes."""

    def encode(self, value: ParsedRows) -> bytes:
        """A head of JSON, after its length, and the rows as a stream of record batches."""
        head = orjson.dumps((value.table, value.run_id, value.part, value.number))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.rows.schema) as writer:
            writer.write_table(value.rows)
        content: bytes = sink.getvalue().to_pybytes()
        return len(head).to_bytes(_LENGTH_BYTES, "big") + head + content

    def decode(self, encoded: bytes) -> ParsedRows:
        """The same rows."""
        start = _LENGTH_BYTES + int.from_bytes(encoded[:_LENGTH_BYTES], "big")
        with pa.ipc.open_stream(pa.py_buffer(encoded)[start:]) as reader:
            table, run_id, part, number = orjson.loads(encoded[_LENGTH_BYTES:start])
            return ParsedRows(table, run_id, part, number, reader.read_all())

    def estimate_size(self, value: ParsedRows) -> int:
        """Bytes of the rows in memory. Workers ask for samples, and would encode them to know."""
        return int(value.rows.nbytes)

    def is_deterministic(self) -> bool:
        """Whether rows can be a key."""
        return False

    def to_type_hint(self) -> type[ParsedRows]:
        """The type that it is for."""
        return ParsedRows


def register_coders() -> None:
    """Have graphs that are built from now on carry ParsedRows so; again changes nothing."""
    beam.coders.registry.register_coder(ParsedRows, ParsedRowsCoder)
