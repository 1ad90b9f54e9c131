"""Each view shows the runs that have ended, whole, whatever else lies in the output."""

from __future__ import annotations

import json
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from cardbeam.journal.local_writer import LocalJournal
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder, StoredFile
from pipeline.__main__ import main
from pipeline.catalog.table_files import read_table_files
from pipeline.catalog.views import connect
from pipeline.cli.exit_codes import UsageError
from pipeline.commands import sql
from schemas.document_tables import schema_of
from schemas.documents import DOCUMENT_TYPES
from tests.pipeline.nights import FIRST, HALF, SECOND, ledger_record, response, write_nights, write_run
from tests.records import answered, failed_record

Front = dict[str, object]
_FRONT: Front = {"id": "079300000001", "name": "ĐẶNG VĂN MẪU", "dob": "02-03-1990"}
_BACK: Front = {"person_number": "079300000001", "sur_name": "DANG", "given_name": "VAN MAU", "dob": "02-03-1990"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two runs and a half-finished one."""
    return write_nights(tmp_path_factory.mktemp("nights")).root


@pytest.fixture(scope="module")
def nights(root: str) -> duckdb.DuckDBPyConnection:
    """The views over them."""
    return connect(root)


def test_documents(nights: duckdb.DuckDBPyConnection) -> None:
    """`documents` holds all types of all ended runs."""
    assert nights.sql("SELECT run_id, type, count(*) FROM documents GROUP BY ALL ORDER BY ALL").fetchall() == [
        (FIRST, "9_id_card_front", 12),
        (FIRST, "chip_id_card_back", 60),
        (FIRST, "chip_id_card_front", 60),
        (FIRST, "driving_license", 20),
        (FIRST, "passport", 30),
        (SECOND, "passport", 29),
    ]


@pytest.mark.parametrize("document_type", DOCUMENT_TYPES)
def test_columns(document_type: str, nights: duckdb.DuckDBPyConnection) -> None:
    """Each view has the columns of its schema and the run, each with its documentation; an empty type too."""
    found = nights.execute(
        "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = ? AND schema_name = 'main'",
        [document_type],
    ).fetchall()
    reported = [(field.name, field.metadata[b"doc"].decode()) for field in schema_of(document_type)]
    assert found == [*reported, ("run_id", "The run that wrote the row; the partition")]


def test_comments(nights: duckdb.DuckDBPyConnection) -> None:
    """Every view and table has a comment, and the database lists each column once."""
    names = {name for (name,) in nights.sql("SHOW TABLES").fetchall()}
    reported = nights.sql(
        "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal UNION ALL "
        "SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal"
    ).fetchall()
    assert {name for name, comment in reported if comment} == names
    assert len(reported) == len(names)
    columns = nights.sql("SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal").fetchall()
    assert len(columns) == len(set(columns))


def test_half_a_run(root: str) -> None:
    """A run without a receipt is shown only where it is asked for, and so is a file that no receipt names."""
    stray = Path(root, "documents/type=passport", f"run_id={FIRST}", "stray.parquet")
    pq.write_table(schema_of("passport").empty_table(), stray)
    try:
        runs = "SELECT DISTINCT run_id FROM documents ORDER BY 1"
        assert connect(root).sql(runs).fetchall() == [(FIRST,), (SECOND,)]
        assert connect(root, unfinished=True).sql(runs).fetchall() == [(FIRST,), (SECOND,), (HALF,)]
    finally:
        stray.unlink()


def test_a_run_that_is_resumed_meanwhile(tmp_path: Path) -> None:
    """Its receipt goes as it begins again: who has listed it by then sees the other runs."""

    class Resuming(LocalFolder):
        def list(self, prefix: str) -> Iterator[StoredFile]:
            found = list(super().list(prefix))
            self.delete([file.path for file in found if file.path.endswith(f"{SECOND}/receipt.json")])
            return iter(found)

    receipts, _ = read_table_files(Resuming(write_nights(tmp_path).root))
    assert [json.loads(receipt)["run_id"] for receipt in receipts] == [FIRST]


def test_latest(nights: duckdb.DuckDBPyConnection) -> None:
    """Of an image that was taken again under the same name the newer answer is shown."""
    again = "SELECT run_id FROM {} WHERE uris[1] LIKE '%/060.jpg' ORDER BY 1"
    assert nights.sql(again.format("passport")).fetchall() == [(FIRST,), (SECOND,)]
    assert nights.sql(again.format("latest_passport")).fetchall() == [(SECOND,)]
    counts = "SELECT (SELECT count(*) FROM passport), (SELECT count(*) FROM latest_passport)"
    assert nights.sql(counts).fetchall() == [(59, 57)]


def test_dead_letters_open(nights: duckdb.DuckDBPyConnection) -> None:
    """What a later run answered is not open; what failed again is there once, as it failed last."""
    found = nights.sql("SELECT uris[1][-6:-5], run_id, code FROM dead_letters_open WHERE retriable ORDER BY 1")
    assert found.fetchall() == [("08", SECOND, "http_503"), ("11", FIRST, "http_503")]
    counts = "SELECT (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM dead_letters_open)"
    assert nights.sql(counts).fetchall() == [(13, 10)]


def test_one_night_is_read_alone(nights: duckdb.DuckDBPyConnection) -> None:
    """Who asks for one run opens its files and no other's."""
    ((_, plan),) = nights.sql(f"EXPLAIN ANALYZE SELECT count(id) FROM passport WHERE run_id = '{SECOND}'").fetchall()
    assert "Scanning Files: 1/2" in plan


@pytest.mark.parametrize("content", [None, b"", b"x" * 1000, "the file without its end"])
def test_a_file_that_is_gone_or_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | str | None
) -> None:
    """What reads the tables names it and goes on with the others."""
    root = write_nights(tmp_path).root
    (path,) = Path(root, "documents/type=passport", f"run_id={FIRST}").iterdir()
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(whole[:-100] if isinstance(content, str) else content)
    what = "is missing" if content is None else "is no whole file of its table"
    name = path.relative_to(root).as_posix()
    runs = connect(root).sql("SELECT DISTINCT run_id FROM passport").fetchall()
    assert (runs, caplog.messages) == ([(SECOND,)], [f"{name} {what}. Restore the file, or see docs/operations.md"])
    assert main(["report", f"--output={root}", f"--run_id={FIRST}"]) == 0


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"format": 1}', b'{"format": 2}', b"\xff\xfe"])
def test_a_damaged_receipt_blocks_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    """It is named, and its run is not shown; where there is no other, that is an error with its name."""
    root = write_nights(tmp_path).root
    receipt = Path(root, "runs", FIRST, "receipt.json")
    receipt.write_bytes(content)
    connection = connect(root)
    assert connection.sql("SELECT DISTINCT run_id FROM ledger").fetchall() == [(SECOND,)]
    assert connection.sql("SELECT run_id FROM runs").fetchall() == [(SECOND,)]
    assert main(["ddl", f"--output={root}", "--engine=spark"]) == 0
    assert [message.split()[0] for message in caplog.messages] == [f"runs/{FIRST}/receipt.json"] * 2
    Path(root, "runs", SECOND, "receipt.json").unlink()
    with pytest.raises(DamagedFile, match=f"^runs/{FIRST}/receipt.json "):
        connect(root)


@pytest.mark.parametrize(
    ("front", "back", "expected"),
    [
        ({}, {}, (True, None)),
        ({"id": "079300000002"}, {}, (False, "number differs")),
        ({"name": "TRẦN VĂN MẪU"}, {"dob": "03-02-1990"}, (False, "name differs, birth date differs")),
        ({"name": "Đặng  văn mẫu"}, {}, (True, None)),
        ({"dob": "1990"}, {}, (None, "birth date unread")),
        ({"id": ""}, {"given_name": "VAN NAU"}, (False, "name differs, number unread")),
        (
            {"name": "ĐẶNG CÔNG TẰNG TÔN NỮ THỊ HOÀNG"},
            {"given_name": "CONG TANG TON NU THI HOA"},
            (True, None),
        ),
        ({"name": "ĐẶNG VĂN MẪU EM"}, {}, (False, "name differs")),
        ({}, {"sur_name": "", "given_name": ""}, (None, "name unread")),
        ({}, {"sur_name": " ", "given_name": "<<"}, (None, "name unread")),
        ({"name": "--"}, {}, (None, "name unread")),
        ({}, {"sur_name": ""}, (None, "name unread")),
        ({}, {"given_name": ""}, (None, "name unread")),
        ({}, {"sur_name": "", "given_name": "VAN NAU"}, (False, "name differs")),
        ({"name": "ÐẶNG VĂN MẪU"}, {}, (True, None)),
        ({"name": "Ɖặng Văn Mẫu"}, {}, (True, None)),
        ({"name": "ðặng văn mẫu"}, {}, (True, None)),
        ({"name": unicodedata.normalize("NFD", "ĐẶNG VĂN MẪU")}, {}, (True, None)),
        ({"name": "H'HEN NIÊ"}, {"sur_name": "HHEN", "given_name": "NIE"}, (True, None)),
        ({"name": "H’HEN NIÊ"}, {"sur_name": "H HEN", "given_name": "NIE"}, (True, None)),
        ({"id": "079 300 000 001"}, {}, (True, None)),
        ({"id": "079.300.000.001"}, {"person_number": "079300000001 "}, (True, None)),
        ({"id": "- -"}, {}, (None, "number unread")),
        (  # 28 characters: the cut fell between two words
            {"name": "ĐẶNG CÔNG TẰNG TÔN NỮ THỊ AN HOÀNG"},
            {"given_name": "CONG TANG TON NU THI AN"},
            (True, None),
        ),
        (  # the next word would not have room
            {"name": "ĐẶNG CÔNG TẰNG TÔN NỮ NGUYỆT"},
            {"given_name": "CONG TANG TON NU"},
            (False, "name differs"),
        ),
        (
            {"name": "ĐẶNG CÔNG TẰNG TÔN NỮ HUYỀN NGHIÊNG"},
            {"given_name": "CONG TANG TON NU HUYEN"},
            (True, None),
        ),
        (  # it would: the rest is missing for another reason
            {"name": "ĐẶNG CÔNG TẰNG TÔN NỮ HUYỀN NGHIÊNG"},
            {"given_name": "CONG TANG TON NU"},
            (False, "name differs"),
        ),
        (
            {"name": "ĐẶNG CÔNG TẰNG TÔN NỮ HUYỀN NGHIÊNG"},
            {"given_name": "CONG TANG TON NU HUYNH"},
            (False, "name differs"),
        ),
    ],
)
def test_sides(front: Front, back: Front, expected: tuple[bool | None, str | None], tmp_path: Path) -> None:
    """`sides_agree` compares number, name and birth date as each side writes them, and says what differs."""
    answer = _answer(("chip_id_card_front", {**_FRONT, **front}), ("chip_id_card_back", {**_BACK, **back}))
    write_run(LocalFolder(str(tmp_path)), FIRST, [ledger_record(FIRST, 0, ("f.jpg", "b.jpg"), response=answer)])
    found = connect(str(tmp_path)).sql("SELECT sides_agree, why_not FROM cards")
    assert found.fetchall() == [expected]


def test_swapped_backs(tmp_path: Path) -> None:
    """In an answer with several cards a front goes with the back of its number, else of its name, else of its place."""
    cards = [("079300000001", "ĐẶNG VĂN MẪU"), ("079300000002", "TRẦN VĂN MẪU"), ("079300000003", "LÊ VĂN MẪU")]
    sides = [("DANG", "079300000001"), ("TRAN", ""), ("LE", "079300000003")]
    fronts = [("chip_id_card_front", {**_FRONT, "id": number, "name": name}) for number, name in cards]
    backs = [("chip_id_card_back", {**_BACK, "sur_name": name, "person_number": number}) for name, number in sides]
    answers = {
        "swapped": [fronts[0], backs[2], fronts[2], backs[0]],
        "turned": [*fronts, backs[1], backs[2], backs[0]],
        "another": [fronts[0], backs[2], fronts[1]],
        "more backs": [fronts[2], backs[0], backs[2]],
    }
    records = [
        ledger_record(FIRST, at, (name,), response=_answer(*reported))
        for at, (name, reported) in enumerate(answers.items())
    ]
    write_run(LocalFolder(str(tmp_path)), FIRST, records)
    found = connect(str(tmp_path)).sql("SELECT uris[1], id[-1:], mrz_name[1], why_not FROM cards ORDER BY ALL")
    assert found.fetchall() == [
        ("another", "1", "L", "number differs, name differs"),
        ("another", "2", None, "no back"),
        ("more backs", "3", "L", None),
        ("more backs", None, "D", "no front"),
        ("swapped", "1", "D", None),
        ("swapped", "3", "L", None),
        ("turned", "1", "D", None),
        ("turned", "2", "T", "number unread"),
        ("turned", "3", "L", None),
    ]


def test_one_side(tmp_path: Path) -> None:
    """A side without the other, and a card without a machine-readable zone, are neither right nor wrong."""
    answers = [
        _answer(("chip_id_card_front", _FRONT)),
        _answer(("chip_id_card_back", _BACK)),
        _answer(("12_id_card_front", _FRONT), ("12_id_card_back", {"issue_date": "01-02-2015"})),
    ]
    records = [
        ledger_record(FIRST, number, (f"{number}.jpg",), response=answer) for number, answer in enumerate(answers)
    ]
    write_run(LocalFolder(str(tmp_path)), FIRST, records)
    found = connect(str(tmp_path)).sql("SELECT card, id, mrz_name, sides_agree, why_not FROM cards ORDER BY uris")
    assert found.fetchall() == [
        ("chip_id_card", "079300000001", None, None, "no back"),
        ("chip_id_card", None, "DANG VAN MAU", None, "no front"),
        ("12_id_card", "079300000001", None, None, "no machine-readable zone"),
    ]


def _answer(*documents: tuple[str, Front]) -> bytes:
    data = [{"type": name, "info": info, "valid": "True"} for name, info in documents]
    return json.dumps({"errorCode": "0", "data": data}).encode()


def test_runs(nights: duckdb.DuckDBPyConnection) -> None:
    """`runs` has each receipt with typed columns."""
    found = nights.sql("SELECT run_id, requests.succeeded, cost, documents['passport'] FROM runs ORDER BY run_id")
    assert found.fetchall() == [(FIRST, 122, 2.44, 30), (SECOND, 29, 0.58, 29)]


@pytest.mark.parametrize(
    ("file_format", "read"),
    [
        ("csv", lambda path: duckdb.read_csv(str(path)).fetchall()),
        ("json", lambda path: duckdb.read_json(str(path)).fetchall()),
        ("parquet", lambda path: duckdb.read_parquet(str(path)).fetchall()),
    ],
)
def test_formats(
    file_format: str,
    read: Callable[[Path], object],
    root: str,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """The result goes to standard output in the format that was asked for."""
    assert main(["sql", f"--output={root}", f"--format={file_format}", "SELECT count(*) AS n FROM passport"]) == 0
    path = tmp_path / "result"
    path.write_bytes(capfdbinary.readouterr().out)
    assert read(path) == [(59,)]


def test_prompt(root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The prompt takes statements over several lines, goes on after a wrong or dropped one, ends with the input."""
    lines = iter(["SELECT 40 +", "2 AS answer;", "SELEC;", "DROP", None, "SELECT 41 + 2;"])

    def typed(_: str) -> str:
        line = next(lines, "")
        if line is None:
            raise KeyboardInterrupt
        if not line:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert sql.main([f"--output={root}"]) == 0
    reported = capsys.readouterr()
    assert ["42" in reported.out, "43" in reported.out] == [True, True]
    assert reported.err.count("syntax error") == 1


def test_no_value_in_errors(root: str) -> None:
    """An error quotes no value of a card."""
    with pytest.raises(UsageError) as error:
        sql.main([f"--output={root}", "SELECT CAST(full_name AS DATE) FROM passport"])
    assert str(error.value) == ("Conversion Error in a value, which is not shown for it may be of a card; try TRY_CAST")


@pytest.mark.parametrize(
    "query",
    [
        "CREATE TABLE t (name VARCHAR UNIQUE); INSERT INTO t SELECT full_name FROM passport, range(2)",
        "SELECT error(full_name) FROM passport",
        "SELECT strptime(full_name, '%Y') FROM passport",
        "SELECT full_name::ENUM('a') FROM passport",
    ],
)
def test_no_value_in_any_error(query: str, root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever raises it, a constraint or a function, the values of the tables are not shown."""
    names = [name for (name,) in connect(root).sql("SELECT DISTINCT full_name FROM passport").fetchall() if name]
    assert main(["sql", f"--output={root}", query]) == 2
    err = capsys.readouterr().err
    assert ("which is not shown" in err, [name for name in names if name in err]) == (True, [])


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM glob('/etc/*')",
        "ATTACH 'OUT/other.db'",
        "EXPORT DATABASE 'OUT/all'",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SET temp_directory = 'OUT'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "COPY passport FROM '/etc/hostname'",
    ],
)
def test_a_query_reaches_nothing_but_the_output(query: str, root: str, tmp_path: Path) -> None:
    """It reads no other file, writes none, and loads no extension, whatever it sets before."""
    with pytest.raises(UsageError):
        sql.main([f"--output={root}", query.replace("OUT", str(tmp_path))])
    assert list(tmp_path.iterdir()) == []


def test_copy_writes_where_it_says(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """COPY TO is the one statement that writes: a file, or a folder of partitions that is not there yet."""
    monkeypatch.chdir(tmp_path)
    count = "(SELECT count(*) AS n, ' TO ''x''' AS other, 'a' AS part FROM passport)"
    sql.main([f"--output={root}", f"COPY {count} TO 'it''s.csv' (FORMAT csv, DELIMITER ';'); SELECT 1"])
    sql.main([f"--output={root}", f"copy {count} to '{tmp_path}/parts' (FORMAT parquet, PARTITION_BY (part))"])
    assert Path("it's.csv").read_text() == "n;other;part\n59; TO 'x';a\n"
    assert [path.parent.name for path in Path("parts").rglob("*.parquet")] == ["part=a"]
    with pytest.raises(UsageError, match="parts exists already"):
        sql.main([f"--output={root}", f"copy {count} to '{tmp_path}/parts' (FORMAT parquet, PARTITION_BY (part))"])


def test_a_result_commands_no_terminal_and_no_spreadsheet(
    root: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Escapes are shown as their pictures, and a text of CSV that would be a formula is a text."""
    query = "SELECT chr(27) || '[31mred' AS a, '=cmd()' AS b, -1 AS c, ['@x', chr(7)] AS d, '+84 90' AS e, 'Lê' AS f"
    assert main(["sql", f"--output={root}", "--format=csv", query]) == 0
    assert capfd.readouterr().out == "a,b,c,d,e,f\n␛[31mred,'=cmd(),-1,\"[@x, ␇]\",'+84 90,Lê\n"
    assert main(["sql", f"--output={root}", query]) == 0
    shown = capfd.readouterr().out
    assert ("\x1b" in shown, "[31mred" in shown) == (False, True)  # DuckDB shows some escapes in its own way
    assert main(["sql", f"--output={tmp_path}/\x1b]0;evil\x07", query]) == 2
    assert "\x1b" not in capfd.readouterr().err


def test_nothing_is_left_in_the_temporary_folder(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into memory goes to a private folder, which goes with the command."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spilled = "SET memory_limit = '60MB'; SET threads = 1; SET preserve_insertion_order = false; SELECT count(*) FROM "
    spilled += "(SELECT range::VARCHAR || repeat('x', 90) AS x FROM range(2000000) ORDER BY hash(x))"
    assert main(["sql", f"--output={root}", spilled]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=NONE", "SELECT 1"], "--output NONE does not exist"),
        (["--output=EMPTY", "SELECT 1"], "--output EMPTY holds no run that has ended"),
        (["--output=ROOT", "--fromat=csv", "SELECT 1"], "unknown option --fromat; did you mean --format?"),
        (["--output=ROOT", "SELECT nam FROM chip_id_card_front"], 'Referenced column "nam" not found'),
    ],
)
def test_usage(
    arguments: list[str], message: str, root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be asked is one error with status 2."""
    places = {"NONE": str(tmp_path / "none"), "EMPTY": str(tmp_path), "ROOT": root}
    for name, place in places.items():
        arguments = [argument.replace(name, place) for argument in arguments]
        message = message.replace(name, place)
    assert main(["sql", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_response_is_seeded() -> None:
    """The runs are the same each time."""
    import random

    assert response(random.Random(1), ("passport", {})) == response(random.Random(1), ("passport", {}))


def test_what_is_in_a_journal_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--unfinished` shows it as tables made beside the output, in which nothing changes."""
    output = tmp_path / "out"
    journal = LocalJournal(LocalFolder(str(output)), "night")
    journal.append(answered(1))
    journal.append(failed_record(2))
    before = _all_files(output)
    query = [f"--output={output}", "--format=csv", "SELECT run_id, id FROM passport"]
    assert main(["sql", "--unfinished", *query]) == 0
    shown = capsys.readouterr()
    assert (shown.out.split(), shown.err) == (
        ["run_id,id", "night,B0000001"],
        "not ended, shown as far as it is answered: run night\n",
    )
    assert main(["sql", *query]) == 2
    assert "holds no run that has ended" in capsys.readouterr().err
    connection = connect(str(output), unfinished=True, scratch=str(tmp_path / "scratch"))
    for table, count in (("documents", 1), ("ledger", 2), ("dead_letters", 1), ("requests", 2)):
        assert connection.sql(f"SELECT run_id, count(*) FROM {table} GROUP BY 1").fetchall() == [("night", count)]
    assert _all_files(output) == before


@pytest.mark.slow
def test_a_run_that_published_a_part_of_what_it_answered(tmp_path: Path) -> None:
    """Its ledger and what came to its journal since are shown once each, beside the runs that ended."""
    output = LocalFolder(write_nights(tmp_path / "out").root)
    journal = LocalJournal(output, SECOND)
    journal.append(answered(1))
    connection = connect(output.root, unfinished=True, scratch=str(tmp_path / "scratch"))
    rows = "SELECT run_id, count(*), count(DISTINCT item_id) FROM {} GROUP BY 1 ORDER BY 1"
    of_ended = {run: n for run, n, _ in connect(output.root).sql(rows.format("ledger")).fetchall()}
    found = {run: (n, items) for run, n, items in connection.sql(rows.format("ledger")).fetchall()}
    assert found[FIRST][0] == of_ended[FIRST]
    assert found[SECOND] == (of_ended[SECOND] + 1,) * 2
    passports = "SELECT count(*) FROM passport WHERE run_id = ?"
    assert connection.execute(passports, [SECOND]).fetchall() == [(30,)]


def _all_files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
