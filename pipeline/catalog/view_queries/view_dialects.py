"""The views in the SQL of each engine, translated from DuckDB's by sqlglot.

A macro of DuckDB is written out where it is called, for not every engine has any. Tables are named with their database,
for the statements may be run from anywhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from string import ascii_uppercase
from typing import TYPE_CHECKING

from pipeline.catalog.dialects import DIALECTS
from pipeline.catalog.view_queries.view import View
from pipeline.cli.exit_codes import UsageError

if TYPE_CHECKING:
    from sqlglot import exp

_COMMENTS = {"trino": " COMMENT {}", "spark": " COMMENT {}", "bigquery": " OPTIONS (description = {})"}
"""Athena's views have none, DuckDB's a statement of their own."""
_LAST_LETTER = 0x1EFF
_BASE = {"Đ": "D", "Ð": "D", "Ɖ": "D"}
_NO_LETTERS = "'’‘ʼ`´" + "".join(map(chr, range(0x0300, 0x0370)))
"""Apostrophes, and marks that stand behind their letter."""


def _composed() -> dict[str, str]:
    """Capital letters with marks -> the letter alone."""
    found = dict(_BASE)
    for code in range(0xC0, _LAST_LETTER + 1):
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base in ascii_uppercase and len(unicodedata.normalize("NFD", chr(code))) > 1:
            found[chr(code)] = base
    return found


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _folded(name: str) -> str:
    letters = _composed()
    plain = f"translate(upper({name}), {_quoted(''.join(letters))}, {_quoted(''.join(letters.values()))})"
    bare = f"regexp_replace({plain}, {_quoted(f'[{_NO_LETTERS}]')}, '', 'g')"
    return f"trim(regexp_replace({bare}, '[^A-Z]+', ' ', 'g'))"


def _same(printed: str, zone: str) -> str:
    return (
        f"(replace({printed}, ' ', '') = replace({zone}, ' ', '') OR (length({printed}) > 29 AND ("
        f"(length({zone}) >= 28 AND starts_with(replace({printed}, ' ', ''), replace({zone}, ' ', '')))"
        f" OR (starts_with({printed}, concat({zone}, ' ')) AND length({zone})"
        f" + strpos(concat(substr({printed}, length({zone}) + 2), ' '), ' ') > 29))))"
    )


def _number(number: str) -> str:
    return f"nullif(regexp_replace(upper({number}), '[^0-9A-Z]+', '', 'g'), '')"


_WRITTEN_OUT: dict[str, Callable[..., str]] = {"folded_name": _folded, "same_name": _same, "card_number": _number}


def translated(view: View, engine: str, database: str) -> str:
    """The query of a view for an engine, its tables in a database.

    Raises:
        UsageError: sqlglot is not installed.
        KeyError: no view of ours is translated for such an engine.
    """
    try:
        import sqlglot  # noqa: PLC0415  # an extra
    except ImportError:
        raise UsageError("sqlglot is not installed; pip install 'cardbeam[sql]'") from None
    query = sqlglot.parse_one(view.query, read="duckdb")
    query = query.transform(_write_out)
    _name_tables(query, database)
    if engine == "spark":
        query = query.transform(_ordered_array)
    if engine == "bigquery":
        query = query.transform(_labels_as_text)
    query = query.transform(_hmac, engine)
    return query.sql(dialect=engine, identify=True, pretty=True, unsupported_level=sqlglot.ErrorLevel.IGNORE)


def _write_out(node: exp.Expr) -> exp.Expr:
    """Each call of a macro as what it stands for, calls within its arguments included."""
    from sqlglot import exp, parse_one  # noqa: PLC0415  # an extra

    if not isinstance(node, exp.Anonymous) or node.name.lower() not in _WRITTEN_OUT:
        return node
    arguments = [one.transform(_write_out).sql(dialect="duckdb") for one in node.expressions]
    return parse_one(_WRITTEN_OUT[node.name.lower()](*arguments), read="duckdb")


_HMACS = {
    "duckdb": "sha256(unhex({outer}) || unhex(sha256(unhex({inner}) || encode({text}))))",
    "trino": "lower(to_hex(sha256(concat(from_hex({outer}), sha256(concat(from_hex({inner}), to_utf8({text})))))))",
    "spark": "sha2(concat(unhex({outer}), unhex(sha2(concat(unhex({inner}), encode({text}, 'utf-8')), 256))), 256)",
    "bigquery": "to_hex(sha256(concat(from_hex({outer}), sha256(concat(from_hex({inner}), CAST({text} AS BYTES))))))",
}
_HMACS["athena"] = _HMACS["trino"]
"""HMAC-SHA256 in each engine's SQL."""


def _hmac(node: exp.Expr, engine: str) -> exp.Expr:
    """Each call of the macro of `person_key` in the engine's words."""
    from sqlglot import exp, parse_one  # noqa: PLC0415  # an extra

    if not isinstance(node, exp.Anonymous) or node.name.lower() != "hmac_sha256_of":
        return node
    text, inner, outer = (one.sql(dialect=engine) for one in node.expressions)
    return parse_one(_HMACS[engine].format(text=text, inner=inner, outer=outer), read=engine)


def _name_tables(query: exp.Expr, database: str) -> None:
    from sqlglot import exp  # noqa: PLC0415  # an extra

    own = {cte.alias for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and table.name not in own and not table.db:
            table.set("db", exp.to_identifier(database, quoted=True))


def _ordered_array(node: exp.Expr) -> exp.Expr:
    """Spark's array_agg knows no order: pairs are sorted by their first."""
    from sqlglot import exp, parse_one  # noqa: PLC0415  # an extra

    if isinstance(node, exp.ArrayAgg) and isinstance(node.this, exp.Order):
        value, by = node.this.this.sql("spark"), node.this.expressions[0].this.sql("spark")
        text = f"transform(array_sort(collect_list(struct({by} AS place, {value} AS value))), one -> one.value)"
        return parse_one(text, read="spark")
    return node


def _labels_as_text(node: exp.Expr) -> exp.Expr:
    """BigQuery has no maps: labels are a struct there, told apart by its text."""
    from sqlglot import exp, parse_one  # noqa: PLC0415  # an extra

    if isinstance(node, exp.ArrayToString) and isinstance(node.this, (exp.MapKeys, exp.Anonymous)):
        return parse_one("to_json_string(labels)", read="bigquery")
    return node


def statements(views: tuple[View, ...], engine: str, database: str) -> Iterator[str]:
    """What makes the views in an engine, each after those that it reads."""
    dialect = DIALECTS[engine]
    for view in views:
        name = f"{dialect.name(database)}.{dialect.name(view.name)}"
        comment = _COMMENTS.get(engine, "").format(dialect.text(view.comment))
        yield f"CREATE OR REPLACE VIEW {name}{comment} AS\n{translated(view, engine, database)}"
        if engine == "duckdb":
            yield f"COMMENT ON VIEW {name} IS {dialect.text(view.comment)}"
