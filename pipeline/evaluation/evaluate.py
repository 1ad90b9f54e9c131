"""Truth + the tables of an output -> how well its cards were read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.cli.exit_codes import UsageError
from pipeline.evaluation.scoring import FieldScore, Result, score
from pipeline.evaluation.truth_file import TrueCard
from schemas.documents import DOCUMENT_TYPES, DOCUMENTS
from schemas.fields import Kind

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_Document = dict[str, Any]
_Answer = tuple[str, str | None]
"""Item and run."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of the cards of a truth in one output.

    `types` has for each card its true type and the one that was read, empty where there is none; `cost` is that of all
    runs, None where no run says a price.
    """

    scores: tuple[FieldScore, ...]
    types: tuple[tuple[str, str], ...]
    cards: int
    right_cards: int
    unread_cards: int
    cost: float | None

    @property
    def cost_per_right_card(self) -> float | None:
        """Cost by cards whose every judged field is right; None where there is no price, or no such card."""
        return self.cost / self.right_cards if self.cost is not None and self.right_cards else None


def evaluate(connection: DuckDBPyConnection, truth: Sequence[TrueCard]) -> Evaluation:
    """Hold the newest documents of each image against the truth.

    Raises:
        UsageError: a URI of the truth ends those of several images, or none is in the tables.
    """
    found = _documents(connection, truth)
    scores: list[FieldScore] = []
    types = []
    taken: set[int] = set()
    right = unread = 0
    for number, card in enumerate(truth):
        document = _partner(card, found[card.uri], taken)
        types.append((card.document_type, document["type"] if document else ""))
        unread += document is None
        of_card = [_score(number, card, name, document) for name in card.values]
        right += bool(of_card) and all(one.result is Result.EXACT for one in of_card)
        scores += of_card
    return Evaluation(tuple(scores), tuple(types), len(truth), right, unread, _cost(connection))


def _partner(card: TrueCard, documents: Iterable[_Document], taken: set[int]) -> _Document | None:
    """The document of a card: the first of its type, else the first, that no other card of its image has."""
    left = [one for one in documents if id(one) not in taken]
    same = [one for one in left if one["type"] == card.document_type]
    chosen = next(iter(same or left), None)
    if chosen is not None:
        taken.add(id(chosen))
    return chosen


def _score(number: int, card: TrueCard, name: str, document: _Document | None) -> FieldScore:
    fields = document or {}
    value = fields.get(f"{name}_text", fields.get(name))
    document_type = card.document_type or fields.get("type", "")
    confidence = fields.get(f"{name}_confidence")
    return score(number, document_type, name, truth=card.values[name], stated_text=value, confidence=confidence)


def _cost(connection: DuckDBPyConnection) -> float | None:
    rows = connection.execute("SELECT sum(cost) FROM runs").fetchall()
    return float(rows[0][0]) if rows[0][0] else None


def _documents(connection: DuckDBPyConnection, truth: Sequence[TrueCard]) -> Mapping[str, list[_Document]]:
    """The documents of what each URI of the truth holds now, in the order of the answer."""
    seen = _seen(connection, sorted({_name(card.uri) for card in truth}))
    matched = {card.uri: _match(card.uri, seen) for card in truth}
    if not any(matched.values()):
        raise UsageError("no image of --truth is in the tables; its uris must end as those of the tables do")
    answers = _answers(connection, sorted({seen[uri][0] for uri in matched.values() if uri}))
    return {uri: answers[seen[whole]] if whole else [] for uri, whole in matched.items()}


def _seen(connection: DuckDBPyConnection, names: list[str]) -> dict[str, _Answer]:
    """Item and run of every URI with one of these file names, those of failed images too."""
    query = "SELECT uri, item_id, run_id FROM places WHERE list_contains($1, parse_filename(uri))"
    return {uri: (item_id, run_id) for uri, item_id, run_id in connection.execute(query, [names]).fetchall()}


def _answers(connection: DuckDBPyConnection, item_ids: list[str]) -> Mapping[_Answer, list[_Document]]:
    found: dict[_Answer, list[_Document]] = defaultdict(list)
    for document_type in DOCUMENT_TYPES:
        columns = ", ".join(f'"{name}"' for name in ("item_id", "run_id", "document_index", *_columns(document_type)))
        query = f'SELECT {columns} FROM "{document_type}" WHERE list_contains($1, item_id)'
        asked = connection.execute(query, [item_ids])
        names = [described[0] for described in asked.description or ()]
        for values in asked.fetchall():
            row = dict(zip(names, values, strict=True))
            found[row["item_id"], row["run_id"]].append({"type": document_type, **row})
    for documents in found.values():
        documents.sort(key=lambda one: int(one["document_index"]))
    return found


def _columns(document_type: str) -> list[str]:
    suffixes = {Kind.TEXT: "", Kind.CONFIDENCE: "", Kind.DATE: "_text"}
    return [field.name + suffixes[field.kind] for field in DOCUMENTS[document_type] if field.kind in suffixes]


def _match(uri: str, candidates: Iterable[str]) -> str:
    """The URI of the tables that is this one or ends with it; empty where there is none."""
    found = [one for one in sorted(candidates) if one == uri or one.endswith(f"/{uri.lstrip('/')}")]
    if uri in found:
        return uri
    if len(found) > 1:
        raise UsageError(f"uri {uri} of --truth ends those of {len(found)} images; give it whole")
    return found[0] if found else ""


def _name(uri: str) -> str:
    return uri.rstrip("/").rsplit("/", 1)[-1]
