"""Manifests of every kind, and the line that is named where one is wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardbeam.inputs.manifests.manifest import is_manifest, read_manifest, unknown_list
from cardbeam.model.request import ImageRef, Request
from cardbeam.storage.open_uri import SourceError

Rows = list[dict[str, str]]
KINDS = [f"{kind}{gz}" for kind in (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet") for gz in ("", ".gz")]
PAIRS = [{"front_uri": "s3://b/f.jpg", "back_uri": "s3://b/b.jpg", "customer": "7"}]


def requests(path: Path, sides: int = 1) -> list[Request]:
    return list(read_manifest(str(path), "ekyc/cards" if sides == 2 else "ekyc/card", sides))


def one(uri: str, **labels: str) -> Request:
    return Request("ekyc/card", (ImageRef(uri),), tuple(labels.items()))


def write(path: Path, rows: Rows) -> Path:
    """The same rows in the form that the file's name says."""
    names = list(rows[0]) if rows else ["uri"]
    if path.suffix == ".gz":
        plain = write(path.with_suffix(""), rows)
        path.write_bytes(gzip.compress(plain.read_bytes()))
    elif path.suffix in (".csv", ".tsv"):
        out = io.StringIO()
        writer = csv.DictWriter(out, names, delimiter="," if path.suffix == ".csv" else "\t")
        writer.writeheader()
        writer.writerows(rows)
        path.write_text(out.getvalue(), "utf-8", newline="")
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in names])), path)
    return path


@pytest.mark.parametrize("suffix", KINDS)
def test_columns_beside_the_uri_are_labels(suffix: str, tmp_path: Path) -> None:
    """Each row is a request in its place; every other column is a label, an empty one too. Spaces around a URI are
    part of it where the format has marks around a text."""
    rows = [
        {"uri": "s3://b/a,1.jpg", "customer": "Trần", "note": ""},
        {"uri": " gs://b/b.jpg ", "customer": '"7"', "note": "x\ny"},
    ]
    is_text = suffix.startswith((".csv", ".tsv"))
    assert requests(write(tmp_path / f"m{suffix}", rows)) == [
        one("s3://b/a,1.jpg", customer="Trần", note=""),
        one("gs://b/b.jpg" if is_text else " gs://b/b.jpg ", customer='"7"', note="x\ny"),
    ]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_two_sides_are_one_request(suffix: str, tmp_path: Path) -> None:
    """`front_uri` and `back_uri` are one request, front first; a unpaired side is one with one image."""
    rows = [{"back_uri": "b.jpg", "front_uri": "f.jpg", "n": "1"}, {"back_uri": "lone.jpg", "front_uri": "", "n": "2"}]
    assert requests(write(tmp_path / f"m{suffix}", rows), sides=2) == [
        Request("ekyc/cards", (ImageRef("f.jpg"), ImageRef("b.jpg")), (("n", "1"),)),
        Request("ekyc/cards", (ImageRef("lone.jpg"),), (("n", "2"),)),
    ]


def test_text_has_one_uri_a_line(tmp_path: Path) -> None:
    """Blank lines, spaces around and a byte-order mark are passed over; spaces within are part of the name."""
    (tmp_path / "m.txt").write_bytes("\ufeffa b.jpg\r\n\n  s3://b/thẻ.jpg  \n".encode())
    assert requests(tmp_path / "m.txt") == [one("a b.jpg"), one("s3://b/thẻ.jpg")]


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """Excel and PowerShell begin a CSV or a JSON lines file with one, which is no part of a name or of the JSON."""
    (tmp_path / "m.csv").write_bytes("\ufeffuri,n\r\na.jpg,1\r\n".encode())
    (tmp_path / "m.jsonl").write_bytes('\ufeff{"uri": "a.jpg", "n": "1"}\r\n{"uri": "b.jpg"}\r\n'.encode())
    assert requests(tmp_path / "m.csv") == [one("a.jpg", n="1")]
    assert requests(tmp_path / "m.jsonl") == [one("a.jpg", n="1"), one("b.jpg")]


def test_labels_that_are_no_text_are_what_csv_gives(tmp_path: Path) -> None:
    """Numbers keep their digits, dates and times are plain text in any year and to the nanosecond; null is no label."""
    row = (
        '{"uri": "a.jpg", "n": 7, "big": 36893488147419103232, "price": 1.50, "ok": true, "tags": ["x", 1.0],'
        ' "deep": {"é": 1e3}, "none": null}\n'
    )
    (tmp_path / "m.jsonl").write_text(row)
    columns = {
        "uri": pa.array(["a.jpg"]),
        "day": pa.array([date(2026, 11, 22)]),
        "far": pa.array([4_000_000], pa.date32()),
        "at": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC")),
        "price": pa.array([Decimal("1.50")]),
        "big": pa.array([2**64 - 1], pa.uint64()),
        "kind": pa.array(["x"]).dictionary_encode(),
        "raw": pa.array([b"\xff\x00"]),
        "tags": pa.array([["x", "y"]]),
        "none": pa.nulls(1),
    }
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    assert requests(tmp_path / "m.jsonl") == [
        one(
            "a.jpg",
            n="7",
            big="36893488147419103232",
            price="1.50",
            ok="true",
            tags='["x",1.0]',
            deep='{"é":1e3}',
        )
    ]
    assert requests(tmp_path / "m.parquet") == [
        one(
            "a.jpg",
            day="2026-11-22",
            far="12921-08-18",
            at="2023-11-14 22:13:20.123456789Z",
            price="1.50",
            big="18446744073709551615",
            kind="x",
            raw="ff00",
            tags='["x","y"]',
        )
    ]


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl", ".parquet"])
def test_a_manifest_may_hold_nothing(suffix: str, tmp_path: Path) -> None:
    """A manifest without a row gives no request."""
    path = tmp_path / f"m{suffix}"
    path.write_text("") if suffix == ".txt" else write(path, [])
    assert requests(path) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.txt", b"a.jpg\n\xff\n", "not UTF-8 text"),
        ("m.csv", b"name\na.jpg\n", "line 2: expected uri, got name"),
        ("m.csv", b"uri,uri,n,n\na.jpg,b.jpg,1,2\n", "line 1: columns that are named twice: n, uri"),
        ("m.csv", b"uri,n\na.jpg,1\nb.jpg\n", "line 3: not as many values"),
        ("m.csv", b"uri,n\na.jpg,1,2\n", "line 2: not as many values"),
        ("m.csv", b'uri\n"a.jpg\n', "after line 0"),
        ("m.csv", b"uri\na.jpg\n  \n", "line 3: uri is empty"),
        ("m.jsonl", b'{"uri": "a.jpg"}\n\n{"uri": \n', "line 3: not JSON"),
        ("m.jsonl", b'["a.jpg"]\n', "line 1: JSON, but not an object"),
        ("m.jsonl", b'{"uri": 7}\n', "line 1: uri is empty"),
        ("m.tsv", b"uri\turi\na.jpg\tb.jpg\n", "line 1: columns that are named twice: uri"),
        ("m.jsonl", b'{"uri": "b.jpg", "uri": "a.jpg"}\n', "line 1: columns that are named twice: uri"),
        ("m.jsonl", b'{"uri": "a.jpg", "n": NaN}\n', "line 1: not JSON"),
        ("m.jsonl", b'{"uri": "a.jpg", "n": ' + b"[" * 100_000 + b"\n", "line 1: not JSON"),
        ("m.jsonl", b'{"uri": "a.jpg", "n": "\\ud800"}\n', "line 1: not JSON"),
        ("m.csv.gz", b"uri\na.jpg\n", "cannot be read as a manifest"),
        ("m.csv.gz", gzip.compress(b"uri\na.jpg\n", mtime=0)[:-9], "cannot be read as a manifest"),
        ("m.parquet.gz", gzip.compress(b"no parquet", mtime=0), "cannot be read as a manifest"),
        ("m.jsonl", b"{}\n", "line 1: expected uri, got nothing"),
        ("m.jsonl", b'{"front_uri": "a.jpg"}\n', "line 1: expected uri, got front_uri"),
        ("m.parquet", b"no parquet", "cannot be read as a manifest"),
        ("m.parquet", b"", "cannot be read as a manifest"),
    ],
)
def test_a_bad_line_is_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    """What is wrong is one error with the manifest and, where there are lines, the line; none of its values."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as raised:
        requests(tmp_path / name)
    assert f"--input {tmp_path / name}" in str(raised.value)
    assert message in str(raised.value)
    assert "a.jpg" not in str(raised.value)


def test_both_sides_empty_is_a_bad_line(tmp_path: Path) -> None:
    """A pair of which neither side is named is an error, not a request for nothing."""
    path = write(tmp_path / "m.csv", [*PAIRS, {"front_uri": "", "back_uri": " ", "customer": "8"}])
    with pytest.raises(SourceError, match="line 3: front_uri and back_uri are empty"):
        requests(path, sides=2)


def test_good_lines_come_before_a_bad_one(tmp_path: Path) -> None:
    """A manifest is read as a stream: requests are handed on before the rest is checked."""
    (tmp_path / "m.jsonl").write_bytes(b'{"uri": "a.jpg"}\nbad\n')
    stream = read_manifest(str(tmp_path / "m.jsonl"), "ekyc/card", 1)
    assert next(stream) == one("a.jpg")
    with pytest.raises(SourceError):
        next(stream)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl", ".parquet"])
def test_a_missing_manifest_is_said(suffix: str, tmp_path: Path) -> None:
    """A manifest that is not there, or is a folder, is one clear error."""
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(SourceError, match="there is no such manifest"):
        requests(tmp_path / f"missing{suffix}")
    with pytest.raises(SourceError, match="cannot be read as a manifest"):
        requests(tmp_path / f"folder{suffix}")


@pytest.mark.parametrize(
    ("uri", "is_one"),
    [
        *[(uri, True) for uri in ("s3://b/m.csv", "a/M.TXT", "m.jsonl", "m.parquet", "m.tsv", "m.ndjson", "M.CSV.GZ")],
        *[(uri, False) for uri in ("a/*.jpg", "a", "s3://b/", "m.json", "csv", ".gz", "m.jpg.gz")],
    ],
)
def test_a_manifest_is_known_by_its_name(uri: str, is_one: bool) -> None:
    """The suffix tells a manifest from a glob or a folder, in any case of letters."""
    assert is_manifest(uri) is is_one


@pytest.mark.parametrize("name", ["m.json", "list.XLSX", "s3://b/all.zip", "m.csv.bz2", "photos.tar.gz", "x.gz"])
def test_a_list_in_an_unread_format_is_refused(name: str) -> None:
    """A spreadsheet or an archive is refused by name with the formats that are read; it is never sent as an image."""
    assert str(unknown_list(name)).startswith(f"--input {name}: a .{name.rpartition('.')[2].lower()} file is neither")


@pytest.mark.parametrize("name", ["m.csv.gz", "a/*.jpg", "folder", "card.heic", "s3://b/", "a.jpeg"])
def test_manifests_and_images_are_not_refused(name: str) -> None:
    """Whatever may be an image, a folder, a glob or a manifest is taken."""
    assert unknown_list(name) is None


def test_parquet_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    """Two columns of one name in Parquet are one error: only one of them could be read."""
    table = pa.table([["a.jpg"], ["1"], ["2"]], names=["uri", "n", "n"])
    pq.write_table(table, tmp_path / "m.parquet")
    with pytest.raises(SourceError, match="line 1: columns that are named twice: n"):
        requests(tmp_path / "m.parquet")


def test_a_uri_column_of_numbers_is_no_text(tmp_path: Path) -> None:
    """Numbers are labels, never URIs."""
    pq.write_table(pa.table({"uri": [7]}), tmp_path / "m.parquet")
    with pytest.raises(SourceError, match="line 1: uri is empty, or no text"):
        requests(tmp_path / "m.parquet")


NAMES = st.text("abc_", min_size=1, max_size=4).filter(lambda name: name != "uri")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=8)


@settings(max_examples=60)
@given(
    st.sampled_from(KINDS),
    st.lists(NAMES, max_size=3, unique=True).flatmap(
        lambda names: st.lists(st.fixed_dictionaries({"uri": TEXT, **dict.fromkeys(names, TEXT)}), max_size=5)
    ),
)
def test_every_kind_reads_what_was_written(tmp_path_factory: pytest.TempPathFactory, suffix: str, rows: Rows) -> None:
    """Any text in any column comes back in all kinds, in order, but for spaces around a URI."""
    rows = [{**row, "uri": f"u{row['uri']}"} for row in rows]
    path = write(tmp_path_factory.mktemp("manifest") / f"m{suffix}", rows)
    read = [{"uri": request.uris[0], **dict(request.labels)} for request in requests(path)]
    is_text = suffix.startswith((".csv", ".tsv"))
    assert read == [{**row, "uri": row["uri"].strip() if is_text else row["uri"]} for row in rows]


@pytest.mark.parametrize("suffix", KINDS)
def test_a_trusted_manifest_tells_size_and_version(suffix: str, tmp_path: Path) -> None:
    """Its columns size and etag are those of the image, and no labels; a row without one of them tells neither."""
    rows = [
        {"uri": "s3://b/a.jpg", "size": "10", "etag": '"abc"', "customer": "7"},
        {"uri": "s3://b/b.jpg", "size": "", "etag": "def", "customer": "8"},
    ]
    path = write(tmp_path / f"list{suffix}", rows)
    assert list(read_manifest(str(path), "ekyc/card", 1, is_trusted=True)) == [
        Request("ekyc/card", (ImageRef("s3://b/a.jpg", 10, "abc"),), (("customer", "7"),)),
        one("s3://b/b.jpg", customer="8"),
    ]
    assert dict(requests(path)[0].labels)["size"] == "10"


def test_a_trusted_manifest_of_pairs(tmp_path: Path) -> None:
    """Each side has its own size and etag; a size that is no number is an error that names the line."""
    row = {"front_uri": "s3://b/f.jpg", "front_size": "1", "front_etag": "f"}
    row |= {"back_uri": "s3://b/b.jpg", "back_size": "2", "back_etag": "b"}
    path = write(tmp_path / "list.csv", [row])
    images = (ImageRef("s3://b/f.jpg", 1, "f"), ImageRef("s3://b/b.jpg", 2, "b"))
    assert list(read_manifest(str(path), "ekyc/cards", 2, is_trusted=True)) == [Request("ekyc/cards", images)]
    write(path, [{**row, "back_size": "2 kB"}])
    with pytest.raises(SourceError, match="line 2: back_size is no number of bytes"):
        list(read_manifest(str(path), "ekyc/cards", 2, is_trusted=True))
