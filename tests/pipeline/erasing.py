"""Erase persons from a large output, killed at random moments, and look for them in every byte of what is left.

python -m tests.pipeline.erasing --documents=10000 --runs=20 --persons=50 --kills=20
python -m tests.pipeline.erasing --documents=10000 --runs=20 --persons=50 --kills=20 --store=s3 --catalog
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import structs

from cardbeam.inputs.image_source import describe
from cardbeam.model.record import JournalRecord
from cardbeam.model.request import Request, item_id_of
from cardbeam.run_state.layout import LEDGER
from cardbeam.storage.folder import Folder, LocalFolder, open_folder
from cardbeam.storage.object_store import connect as connect_store
from pipeline.catalog.iceberg.register import open_catalog, register
from pipeline.catalog.table_ddl import TABLES
from pipeline.catalog.views import connect
from tests.byte_search import files_with
from tests.pipeline import cli
from tests.pipeline.killing import answer, backfill_arguments, draw_images, kill
from tests.pipeline.nights import failure, ledger_record, person, response, write_run
from tests.servers import CardServer
from tests.stores.servers import KINDS, StoreServer

_KINDS = ("chip_id_card_front", "chip_id_card_back", "passport", "driving_license")
_LETTERS = "BCDFGHKLMNPQRSTVX"
_CATALOG, _NAMESPACE = "erasing", "cards"
_FAILED_EACH = 50
_WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is not: a number and a name that nobody else has."""

    number: str
    token: str

    @property
    def name(self) -> str:
        """As it is printed."""
        return f"ĐẶNG THỊ {self.token}"

    def fields(self, rng: random.Random) -> dict[str, object]:
        """What is on their cards."""
        own = {"id": self.number, "person_number": self.number, "name": self.name, "full_name": self.name}
        return {**person(rng), **own, "sur_name": "DANG", "given_name": f"THI {self.token}"}

    def texts(self) -> tuple[str, ...]:
        """By which they can be found; the token is in the name, in the zone and in the label."""
        return self.number, self.token


@dataclass
class Drawn:
    """An output of several runs, and who is in it."""

    folder: LocalFolder
    run_ids: list[str]
    items: dict[Person, set[str]] = field(default_factory=dict)


def draw(root: Path, documents: int, runs: int) -> Drawn:
    """Images, and what runs over them leave; each person is on two images of different runs."""
    rng, images = random.Random(21), root / "in"
    draw_images(images, documents)
    drawn = Drawn(LocalFolder(str(root / "out")), [f"202611{1 + number:02}T010000Z" for number in range(runs)])
    people = [
        Person(f"{rng.randrange(10**12):012}", "".join(rng.choices(_LETTERS, k=9))) for _ in range(documents // 2)
    ]
    paths = sorted(images.iterdir())
    for number, run_id in enumerate(drawn.run_ids):
        mine = range(number, documents, runs)
        write_run(drawn.folder, run_id, _records(run_id, mine, paths, people, drawn.items, rng))
    return drawn


def _records(
    run_id: str,
    numbers: range,
    paths: Sequence[Path],
    people: Sequence[Person],
    items: dict[Person, set[str]],
    rng: random.Random,
) -> Iterator[JournalRecord]:
    for at, number in enumerate(numbers):
        path, who = paths[number], people[number % len(people)]
        labels = (("customer_id", f"C-{who.token}"),)
        item_id = item_id_of("ekyc/card", [path.read_bytes()])
        source_id = Request("ekyc/card", (describe(str(path)),), labels).source_id
        if number % _FAILED_EACH == 0:
            failed = failure(run_id, at, str(path), "error_1", "The photo does not contain content", False)
            yield structs.replace(failed, item_id=item_id, source_id=source_id)
            continue
        items.setdefault(who, set()).add(item_id)
        text = {"item_id": item_id, "source_id": source_id, "labels": labels}
        document = (_KINDS[number % len(_KINDS)], who.fields(rng))
        yield ledger_record(run_id, at, (str(path),), response=response(rng, document), **text)


def erase_killed(root: Path, output: str, groups: Sequence[Sequence[Person]], more: Sequence[str]) -> int:
    """Erase group after group, all but the first killed at a random moment and given again; kills that hit."""
    chance, whole_s, hits = random.Random(1), 0.0, 0
    for number, group in enumerate(groups):
        numbers = root / f"numbers-{number}.txt"
        numbers.write_text("\n".join(one.number for one in group))
        arguments = [f"--output={output}", f"--number_file={numbers}", *more]
        if number:
            child = cli.start("erase", *arguments)
            time.sleep(chance.uniform(0.0, 1.0) * whole_s)
            hits += child.poll() is None
            kill(child)
        began_s = time.monotonic()
        ended = cli.run("erase", *arguments, timeout_s=_WITHIN_S)
        assert ended.returncode == 0 or "no image" in ended.stderr, ended.stderr
        whole_s = whole_s or time.monotonic() - began_s
        print(f"group {number}: {time.monotonic() - began_s:.1f} s", file=sys.stderr)
    return hits


def copied(folder: Folder, to: Path) -> Path:
    """An output on the local disk, but for who is at work."""
    for file in folder.list(""):
        path = to / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(folder.read(file.path))
    return to


def others(root: Path, without: set[str]) -> dict[str, list[Any]]:
    """The rows of all tables that are of other items, responses included."""
    listed, found = ", ".join(f"'{one}'" for one in sorted(without)), {}
    with connect(str(root)) as views:
        for table in (*TABLES, LEDGER):
            found[table] = views.sql(f'FROM "{table}" WHERE item_id NOT IN ({listed}) ORDER BY ALL').fetchall()
        assert views.sql("SELECT bool_and(reconciled) FROM runs").fetchall() == [(True,)]
    return found


def _counts(names: Sequence[str]) -> dict[str, int]:
    catalog = open_catalog(_CATALOG)
    return {name: catalog.load_table(f"{_NAMESPACE}.{name}").scan().to_arrow().num_rows for name in names}


def _use_catalog(warehouse: Path) -> None:
    warehouse.mkdir()
    text = {"TYPE": "sql", "URI": f"sqlite:///{warehouse.parent}/catalog.db", "WAREHOUSE": warehouse.as_uri()}
    for environment in (os.environ, cli.ENVIRONMENT):
        environment.update({f"PYICEBERG_CATALOG__{_CATALOG.upper()}__{name}": value for name, value in text.items()})


def _in_store(drawn: Drawn, store: str, root: Path, stack: ExitStack) -> Folder:
    """The output where the commands see it: on the disk, or copied into a bucket."""
    if store == "disk":
        return drawn.folder
    kind = KINDS[store]
    server = stack.enter_context(StoreServer(kind, root / "store"))
    for environment in (os.environ, cli.ENVIRONMENT):
        environment.update(kind.environment(server.url))
    connect_store.cache_clear()
    folder = open_folder(f"{kind.uri}/out")
    for file in drawn.folder.list(""):
        folder.write(file.path, drawn.folder.read(file.path))
    return folder


def erase_and_check(asked: argparse.Namespace, root: Path, stack: ExitStack) -> list[str]:
    """What was found, a line each; an assertion that does not hold ends it."""
    drawn = draw(root, asked.documents, asked.runs)
    more: list[str] = []
    folder = _in_store(drawn, asked.store, root, stack)
    if asked.catalog:
        _use_catalog(root / "warehouse")
        register(open_catalog(_CATALOG), _NAMESPACE, folder, drawn.run_ids)
        more = [f"--catalog={_CATALOG}", f"--namespace={_NAMESPACE}"]
    chosen = random.Random(2).sample(sorted(drawn.items, key=lambda one: one.number), asked.persons)
    texts, gone = [text for one in chosen for text in one.texts()], {id_ for one in chosen for id_ in drawn.items[one]}
    before = copied(folder, root / "before")
    assert {text for held in files_with(before, texts).values() for text in held} == set(texts)
    groups = [chosen[number :: asked.kills + 1] for number in range(asked.kills + 1)]
    began_s = time.monotonic()
    hits = erase_killed(root, folder.root, [group for group in groups if group], more)
    took_s = time.monotonic() - began_s
    after = copied(folder, root / "after")
    assert files_with(after, texts) == {}
    rows = others(before, gone)
    assert others(after, gone) == rows
    if asked.catalog:
        assert files_with(root / "warehouse", texts) == {}
        expected = {name: len(found) for name, found in rows.items() if name != LEDGER}
        assert _counts([*expected]) == expected
    with CardServer(lambda got: answer(got, 0.0), keeps_content=False) as server:
        ended = cli.run("backfill", *backfill_arguments(server, root / "in", folder.root, 8), timeout_s=_WITHIN_S)
        assert (ended.returncode, sum(server.calls.values())) == (0, 0), ended.stderr
    return [
        f"{asked.documents:,} images in {asked.runs} runs, on {asked.store}{' and in Iceberg' * asked.catalog}",
        f"{len(chosen)} persons ({len(gone)} images) erased in {took_s:.0f} s, killed {hits} times",
        f"{len(texts)} numbers and names: none left in any byte; {sum(map(len, rows.values())):,} other rows are equal",
        "a backfill over the same images made no call",
    ]


def main(arguments: Sequence[str]) -> int:
    """Erase persons from an output of several runs, with kills, and hold all that is left against it."""
    parser = argparse.ArgumentParser(prog="python -m tests.pipeline.erasing", description=main.__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--persons", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--store", choices=("disk", *KINDS), default="disk")
    parser.add_argument("--catalog", action="store_true", help="register the runs in Iceberg tables too")
    asked = parser.parse_args(list(arguments))
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        print("\n".join(erase_and_check(asked, Path(scratch), stack)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
