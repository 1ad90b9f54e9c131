"""Random histories of an output: images that are replaced, renamed, copied and put back, over several runs.

A history is what the pipeline records; what its views must show follows from it in plain Python, without any SQL.
"""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cardbeam.model.record import JournalRecord
from schemas.documents import DOCUMENTS
from tests.pipeline.nights import ledger_record

Info = Mapping[str, str]
Content = tuple[str, tuple[tuple[str, Info], ...]]
"""What comes of an image: answered, error_1, unreadable_image or http_503, and the documents in its answer."""

_NAMES = (
    ("ĐẶNG VĂN MẪU", "DANG", "VAN MAU"),
    ("Ðặng  văn mẫu", "DANG", "VAN MAU"),
    ("H'HEN NIÊ", "HHEN", "NIE"),
    ("TRẦN THỊ THỬ", "", ""),
    ("ĐẶNG CÔNG TẰNG TÔN NỮ HUYỀN NGHIÊNG", "DANG", "CONG TANG TON NU HUYEN"),
)
_NUMBERS = (
    ("079300000001", "079300000001"),
    ("079 300 000 002", "079300000002"),
    ("", "079300000003"),
    ("079300000004", ""),
)
_DATES = ("01-02-1990", "03-04-1991", "")
_SINGLE, _PAIRED = "ekyc/card", "ekyc/cards"


@dataclass
class Run:
    """One run: its records in the order in which they became durable."""

    run_id: str
    records: list[JournalRecord] = field(default_factory=list)


@dataclass
class History:
    """All runs, and what each item's answer holds."""

    runs: list[Run]
    documents: dict[str, tuple[tuple[str, Info], ...]]

    def events(self) -> Iterator[tuple[str, JournalRecord]]:
        """Every record with its run, oldest first."""
        for run in self.runs:
            for record in run.records:
                yield run.run_id, record


def history(seed: int) -> History:
    """A history; the same for the same seed."""
    return _Writer(random.Random(seed)).write()


class _Writer:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._at: dict[tuple[str, ...], tuple[int, int]] = {}
        """Content and version of what is at the URIs of a request."""
        self._contents = [self._content() for _ in range(8)]
        self._versions = iter(range(1_000_000))
        self._once_at: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
        self._newest_source: dict[tuple[str, ...], str] = {}
        self._answered: set[str] = set()
        self._failed: set[str] = set()
        self._item_of_source: dict[str, str] = {}
        self._documents: dict[str, tuple[tuple[str, Info], ...]] = {}

    def write(self) -> History:
        runs = []
        for number in range(self._rng.randint(1, 4)):
            run = Run(f"202611{21 + number}T010000Z")
            self._change_images()
            requests = sorted(self._at)
            self._rng.shuffle(requests)
            is_replay = number > 0 and self._rng.random() < 0.3
            for uris in requests:
                self._process(run, uris, is_replay=is_replay)
            runs.append(run)
        return History(runs, self._documents)

    def _content(self) -> Content:
        outcome = self._rng.choice(("succeeded",) * 6 + ("error_1", "unreadable_image", "http_503"))
        kinds = ("passport", "new_card", "chip", "front", "back", "9_id_card_front", "12_id_card_front")
        message: list[tuple[str, Info]] = []
        for kind in self._rng.choices(kinds, k=self._rng.choice((0, 1, 1, 1, 2, 3))):
            message += self._cards(kind)
        self._rng.shuffle(message)
        return outcome, tuple(message)

    def _cards(self, kind: str) -> list[tuple[str, Info]]:
        printed, surname, given = self._rng.choice(_NAMES)
        number, in_zone = self._rng.choice(_NUMBERS)
        dob = self._rng.choice(_DATES)
        front = {"id": number, "name": printed, "dob": dob}
        if self._rng.random() < 0.2:
            dob = self._rng.choice(_DATES)
        back = {"person_number": in_zone, "sur_name": surname, "given_name": given, "dob": dob}
        sides: list[tuple[str, Info]] = [("chip_id_card_front", front), ("chip_id_card_back", back)]
        return {"chip": sides, "front": sides[:1], "back": sides[1:]}.get(kind, [(kind, {"id": number})])

    def _change_images(self) -> None:
        singles = [(f"{name}.jpg",) for name in "abcdef"]
        pairs = [(f"{name}-front.jpg", f"{name}-back.jpg") for name in "gh"]
        for uris in singles + pairs:
            if self._once_at[uris] and self._rng.random() < 0.15:  # put back, in the version that it had
                self._at[uris] = self._rng.choice(self._once_at[uris])
            elif self._rng.random() < 0.4:
                self._at[uris] = (self._rng.randrange(len(self._contents)), next(self._versions))
            elif self._rng.random() < 0.1:
                self._at.pop(uris, None)
        if self._rng.random() < 0.5:  # renamed, or copied
            moved, there = self._rng.sample(singles, 2)
            if moved in self._at:
                self._at[there] = (self._at[moved][0], next(self._versions))
                if self._rng.random() < 0.5:
                    del self._at[moved]
        for uris, content in self._at.items():
            self._once_at[uris].append(content)

    def _process(self, run: Run, uris: tuple[str, ...], *, is_replay: bool) -> None:
        """As the pipeline does: known by its source, known by its content, else called."""
        number, version = self._at[uris]
        outcome, documents = self._contents[number]
        operation = _SINGLE if len(uris) == 1 else _PAIRED
        source = _hash("source", operation, *uris, str(version))
        item = source if outcome == "unreadable_image" else _hash("content", operation, str(number))
        if not is_replay and self._item_of_source.get(source) in self._answered | self._failed:
            if self._newest_source.get(uris, source) != source:  # none yet: it only failed for now, and was copied
                self._add(run, uris, item, source, outcome="duplicate", attempts=0)
            return
        here = [record for record in run.records if record.item_id == item]
        if item in self._answered or (item in self._failed and not is_replay) or here:
            if not (here and here[0].uris == uris):
                self._add(run, uris, item, source, outcome="duplicate", attempts=0)
            return
        if outcome == "http_503" and self._rng.random() < 0.5:
            outcome = "succeeded"
        if outcome == "succeeded":
            for _ in range(2 if self._rng.random() < 0.05 else 1):  # a crash: paid twice, shown once
                self._add(run, uris, item, source, response=_response(documents))
            self._answered.add(item)
            self._documents[item] = documents
        else:
            self._add(run, uris, item, source, outcome="failed", **_FAILURES[outcome])
            if outcome != "http_503":
                self._failed.add(item)

    def _add(self, run: Run, uris: tuple[str, ...], item: str, source: str, **text: object) -> None:
        labels = (("customer_id", f"C{self._rng.randrange(3)}"),)
        record = ledger_record(
            run.run_id, len(run.records), uris, item_id=item, source_id=source, labels=labels, **text
        )
        run.records.append(record)
        self._item_of_source[source] = item
        if item in self._answered or not text.get("retriable"):
            self._newest_source[uris] = source


_FAILURES: dict[str, dict[str, object]] = {
    "error_1": {"stage": "call", "code": "error_1", "message": "no card"},
    "unreadable_image": {"stage": "read", "code": "unreadable_image", "message": "no image", "http_status": None},
    "http_503": {"stage": "call", "code": "http_503", "message": "busy", "retriable": True, "http_status": 503},
}


def _hash(*parts: str) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _response(documents: Sequence[tuple[str, Info]]) -> bytes:
    data = [{"type": name, "info": info, "valid": "True"} for name, info in documents]
    return json.dumps({"errorCode": "0", "data": data}).encode()


@dataclass(frozen=True)
class Answer:
    """The answer that the tables show of an item in a run."""

    run_id: str
    record: JournalRecord


def shown_answers(past: History) -> list[Answer]:
    """Of each run and item the first answer."""
    first: dict[tuple[str, str], Answer] = {}
    for run_id, record in past.events():
        if record.outcome == "succeeded":
            first.setdefault((run_id, record.item_id), Answer(run_id, record))
    return list(first.values())


def documents(past: History) -> set[tuple[object, ...]]:
    """Type, run, item, index and URIs of every document."""
    duplicates: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    for run_id, record in past.events():
        if record.outcome == "duplicate":
            duplicates[run_id, record.item_id].add(record.uris)
    return {
        (name, answer.run_id, answer.record.item_id, index, _with_duplicates(answer, duplicates))
        for answer in shown_answers(past)
        for index, (name, _) in enumerate(past.documents[answer.record.item_id])
        if name in DOCUMENTS
    }


def _with_duplicates(answer: Answer, duplicates: Mapping[tuple[str, str], set[tuple[str, ...]]]) -> tuple[str, ...]:
    more = (uri for uris in sorted(duplicates.get((answer.run_id, answer.record.item_id), ())) for uri in uris)
    return tuple(dict.fromkeys([*answer.record.uris, *more]))


def dead_letters(past: History) -> set[tuple[str, str, str]]:
    """Run, item and code: the last failure of what was not answered in that run, and answers without a document."""
    found = {}
    answered = {(answer.run_id, answer.record.item_id) for answer in shown_answers(past)}
    for run_id, record in past.events():
        if record.outcome == "failed" and (run_id, record.item_id) not in answered:
            found[run_id, record.item_id] = str(record.code)
    unread = set()
    for run_id, item_id in answered:
        message = past.documents[item_id]
        unread |= {(run_id, item_id, "unknown_type") for name, _ in message if name not in DOCUMENTS}
        unread |= set() if message else {(run_id, item_id, "no_document")}
    return {(run_id, item_id, code) for (run_id, item_id), code in found.items()} | unread


def dead_letters_open(past: History) -> set[tuple[object, ...]]:
    """URIs, customer, item and code of every place whose image has no answer, or one with a document unread."""
    answered_in = {answer.record.item_id: answer.run_id for answer in shown_answers(past)}
    letters: dict[str, set[str]] = defaultdict(set)
    for run_id, item_id, code in sorted(dead_letters(past)):
        is_parse = code in ("unknown_type", "no_document")
        if item_id not in answered_in or (is_parse and answered_in[item_id] == run_id):
            letters[item_id] = {code}
    last = {(record.operation, record.uris): record for _, record in past.events()}
    return {
        (uris, dict(record.labels)["customer_id"], record.item_id, code)
        for (_, uris), record in last.items()
        for code in letters[record.item_id]
    }


def requests(past: History) -> set[tuple[object, ...]]:
    """URIs, customer, item and outcome: the last of each place with each set of labels."""
    last = {(record.uris, record.labels): record for _, record in past.events()}
    return {
        (uris, dict(labels)["customer_id"], record.item_id, record.outcome) for (uris, labels), record in last.items()
    }


def latest_answers(past: History) -> dict[tuple[str, str], tuple[str, str]]:
    """Operation and first URI -> run and item of the newest answer."""
    newest = {answer.record.item_id: answer for answer in shown_answers(past)}  # of an item answered again the last
    found = {}
    for _, record in past.events():
        if record.outcome in ("succeeded", "duplicate") and record.item_id in newest:
            found[record.operation, record.uris[0]] = (newest[record.item_id].run_id, record.item_id)
    return found


def places(past: History) -> dict[str, tuple[object, ...]]:
    """URI -> item, customer, state, code and types of what was seen there last."""
    newest = {answer.record.item_id: answer for answer in shown_answers(past)}
    failures = {record.item_id: record.code for _, record in past.events() if record.outcome == "failed"}
    found: dict[str, tuple[object, ...]] = {}
    for _, record in past.events():
        types: list[str] = []
        code = failures.get(record.item_id)
        if record.item_id in newest:
            message = [name for name, _ in past.documents[record.item_id]]
            types = [name for name in message if name in DOCUMENTS]
            code = None if types else "unknown_type" if message else "no_document"
        for uri in record.uris:
            found[uri] = (
                record.item_id,
                dict(record.labels)["customer_id"],
                "succeeded" if types else "failed",
                code,
                types,
            )
    return found


def cards(past: History) -> set[tuple[object, ...]]:
    """Run, item, kind, index of front and of back, whether they agree, and why not, of every card."""
    found: set[tuple[object, ...]] = set()
    for answer in shown_answers(past):
        message = list(enumerate(past.documents[answer.record.item_id]))
        for kind in ("9_id_card", "12_id_card", "chip_id_card"):
            fronts = [(index, info) for index, (name, info) in message if name == f"{kind}_front"]
            backs = [(index, info) for index, (name, info) in message if name == f"{kind}_back"]
            for front, back in _paired(fronts, backs):
                judged = _judged(kind, front and front[1], back and back[1])
                where = (answer.run_id, answer.record.item_id, kind, front and front[0], back and back[0])
                found.add((*where, *judged))
    return found


_Side = tuple[int, Info]


def _paired(fronts: list[_Side], backs: list[_Side]) -> Iterator[tuple[_Side | None, _Side | None]]:
    """By number, then by name, then by place."""
    fronts, backs = list(fronts), list(backs)
    keys = ((_front_number, _back_number), (_front_name, _back_name))
    for of_front, of_back in keys if len(fronts) > 1 or len(backs) > 1 else ():
        for front in list(fronts):
            match = next(
                (back for back in backs if of_front(front[1]) and of_front(front[1]) == of_back(back[1])), None
            )
            if match is not None:
                yield front, match
                fronts.remove(front)
                backs.remove(match)
    length = max(len(fronts), len(backs))
    empty: list[_Side | None] = [None] * length
    yield from zip([*fronts, *empty][:length], [*backs, *empty][:length], strict=True)


def _front_number(info: Info) -> str:
    return "".join(filter(str.isalnum, info.get("id", "")))


def _back_number(info: Info) -> str:
    return "".join(filter(str.isalnum, info.get("person_number", "")))


def _front_name(info: Info) -> str:
    return _folded(info.get("name", ""))


def _back_name(info: Info) -> str:
    return _folded(f"{info.get('sur_name', '')} {info.get('given_name', '')}")


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFD", name.upper().replace("Đ", "D").replace("Ð", "D").replace("'", ""))
    letters = (letter for letter in plain if not unicodedata.combining(letter))
    return " ".join("".join(letter if "A" <= letter <= "Z" else " " for letter in letters).split())


def _judged(kind: str, front: Info | None, back: Info | None) -> tuple[bool | None, str | None]:
    if front is None or back is None:
        return None, "no front" if front is None else "no back"
    if kind != "chip_id_card":
        return None, "no machine-readable zone"
    pairs = {
        "number": (_front_number(front), _back_number(back)),
        "name": (_front_name(front), _back_name(back)),
        "birth date": (front["dob"], back["dob"]),
    }
    unread = [what for what, values in pairs.items() if not all(values)]
    differing = [
        what
        for what, (printed, zone) in pairs.items()
        if printed and zone and not (_is_cut(printed, zone) if what == "name" else printed == zone)
    ]
    message = [f"{what} differs" for what in differing] + [f"{what} unread" for what in unread]
    return (False if differing else None if unread else True), ", ".join(message) or None


def _is_cut(printed: str, zone: str) -> bool:
    """Whether the zone has the printed name, or as much of it as its 30 characters hold."""
    if printed.replace(" ", "") == zone.replace(" ", ""):
        return True
    words, in_zone = printed.split(), zone.split()
    whole = words[: len(in_zone)] == in_zone and len(words) > len(in_zone)
    return whole and len(" ".join(words[: len(in_zone) + 1])) > 29
