"""How each query engine spells a column's type, a name and a text; one row an engine.

Types follow from the Arrow schemas, so a field that the contract gains needs nothing here. Read from the engines'
own pages: Trino's Hive connector, Spark's SQL reference, BigQuery's external tables (a Parquet map is a repeated
`key_value` there), Athena's data types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine's spelling. `scalars` are by Arrow type; nested types are built from the spelling of their parts."""

    scalars: Mapping[pa.DataType, str]
    list_of: Callable[[str], str]
    map_of: Callable[[str, str], str]
    struct_field: Callable[[str, str], str]
    struct_of: Callable[[str], str]
    quote: str = '"'
    text_quote: str = "''"
    """How a quote is written within a text."""

    def name(self, name: str) -> str:
        """A name, quoted."""
        return f"{self.quote}{name}{self.quote}"

    def text(self, text: str) -> str:
        """A text, quoted. Where a backslash escapes the quote, it escapes itself too."""
        escaped = text.replace("\\", "\\\\") if "\\" in self.text_quote else text
        return "'" + escaped.replace("'", self.text_quote) + "'"

    def type_of(self, kind: pa.DataType) -> str:
        """An Arrow type.

        Raises:
            KeyError: no table has such a type.
        """
        if pa.types.is_map(kind):
            return self.map_of(self.type_of(kind.key_type), self.type_of(kind.item_type))
        if pa.types.is_list(kind):
            return self.list_of(self.type_of(kind.value_type))
        if pa.types.is_struct(kind):
            fields = (self.struct_field(field.name, self.type_of(field.type)) for field in kind)
            return self.struct_of(", ".join(fields))
        return self.scalars[kind]


_ARROW = (
    pa.string(),
    pa.bool_(),
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.date32(),
    pa.timestamp("us", tz="UTC"),
    pa.binary(),
)


def _scalars(*names: str) -> dict[pa.DataType, str]:
    return dict(zip(_ARROW, names, strict=True))


_CLICKHOUSE = ("String", "Bool", "Int32", "Int64", "Float32", "Date32", "DateTime64(6, 'UTC')", "String")
"""A list, a map and a tuple are never null there, their parts are; a Date32 is documented for 1900 to 2299."""

DIALECTS: dict[str, Dialect] = {
    "duckdb": Dialect(
        _scalars("VARCHAR", "BOOLEAN", "INTEGER", "BIGINT", "FLOAT", "DATE", "TIMESTAMPTZ", "BLOB"),
        list_of="{}[]".format,
        map_of="MAP({}, {})".format,
        struct_field='"{}" {}'.format,
        struct_of="STRUCT({})".format,
    ),
    "trino": Dialect(
        _scalars("varchar", "boolean", "integer", "bigint", "real", "date", "timestamp", "varbinary"),
        list_of="array({})".format,
        map_of="map({}, {})".format,
        struct_field='"{}" {}'.format,
        struct_of="row({})".format,
    ),
    "spark": Dialect(
        _scalars("STRING", "BOOLEAN", "INT", "BIGINT", "FLOAT", "DATE", "TIMESTAMP", "BINARY"),
        list_of="ARRAY<{}>".format,
        map_of="MAP<{}, {}>".format,
        struct_field="`{}`: {}".format,
        struct_of="STRUCT<{}>".format,
        quote="`",
        text_quote="\\'",
    ),
    "bigquery": Dialect(
        _scalars("STRING", "BOOL", "INT64", "INT64", "FLOAT64", "DATE", "TIMESTAMP", "BYTES"),
        list_of="ARRAY<{}>".format,
        map_of="STRUCT<`key_value` ARRAY<STRUCT<`key` {}, `value` {}>>>".format,
        struct_field="`{}` {}".format,
        struct_of="STRUCT<{}>".format,
        quote="`",
        text_quote="\\'",
    ),
    "athena": Dialect(
        _scalars("string", "boolean", "int", "bigint", "float", "date", "timestamp", "binary"),
        list_of="array<{}>".format,
        map_of="map<{},{}>".format,
        struct_field="`{}`:{}".format,
        struct_of="struct<{}>".format,
        quote="`",
        text_quote="\\'",
    ),
    "clickhouse": Dialect(
        dict(zip(_ARROW, map("Nullable({})".format, _CLICKHOUSE), strict=True)),
        list_of="Array({})".format,
        map_of=lambda key, value: f"Map({key.removeprefix('Nullable(').removesuffix(')')}, {value})",
        struct_field="`{}` {}".format,
        struct_of="Tuple({})".format,
        quote="`",
        text_quote="\\'",
    ),
}
