"""Small JSON files: what was written is read, and of anything else the error names the file and what is wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder
from cardbeam.storage.state_file import decode_state, encode_state, is_of, read_state, write_state

PATH = "runs/r1/state.json"


@dataclass(frozen=True)
class State:
    """A field of each kind."""

    name: str
    beat: int
    share: float
    is_last: bool
    counts: dict[str, int]
    uris: tuple[str, ...] = ()
    owner: str | None = None
    files: list[dict[str, Any]] = field(default_factory=list)


STATE = State("a", 1, 0.5, True, {"found": 2}, owner="b", files=[{"path": "p", "rows": 1}])


def test_a_state_is_read_back(tmp_path: Path) -> None:
    """With the number of its format, which is none of its fields; a file that is not there is no state."""
    folder = LocalFolder(str(tmp_path))
    assert read_state(folder, PATH, State) is None
    write_state(folder, PATH, STATE)
    assert read_state(folder, PATH, State) == State(**{**asdict(STATE), "uris": []})
    assert orjson.loads(folder.read(PATH))["format"] == 1


def changed(**values: object) -> bytes:
    """The file with some fields of other values; without those that are `...`."""
    held = {**orjson.loads(encode_state(STATE)), **values}
    return orjson.dumps({name: value for name, value in held.items() if value is not ...})


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\0" * 40, "is not whole JSON"),
        (b"{not json", "is not whole JSON"),
        (encode_state(STATE)[:-1], "is not whole JSON"),
        (b"\xff\xfe{}", "is not whole JSON"),
        (b"[]", "is JSON of another kind"),
        (b"null", "is JSON of another kind"),
        (b"{}", "is of an older format, that this version does not read"),
        (changed(format=...), "is of an older format, that this version does not read"),
        (changed(format=0), "is of an older format, that this version does not read"),
        (changed(format=2), "is of a newer format, 2, that this version does not read"),
        (changed(format="1"), "has a field 'format' of another type"),
        (changed(format=True), "has a field 'format' of another type"),
        (changed(name=...), "has no field 'name'"),
        (changed(name=1), "has a field 'name' of another type"),
        (changed(beat=1.5), "has a field 'beat' of another type"),
        (changed(beat=True), "has a field 'beat' of another type"),
        (changed(beat=None), "has a field 'beat' of another type"),
        (changed(share="0.5"), "has a field 'share' of another type"),
        (changed(is_last=0), "has a field 'is_last' of another type"),
        (changed(counts={"found": "2"}), "has a field 'counts' of another type"),
        (changed(counts=[]), "has a field 'counts' of another type"),
        (changed(uris=[1]), "has a field 'uris' of another type"),
        (changed(files=[1]), "has a field 'files' of another type"),
    ],
)
def test_what_is_wrong_is_told_by_name(content: bytes, what: str) -> None:
    """Truncated, garbage, empty, another program's, of an older and of a newer format."""
    with pytest.raises(DamagedFile) as raised:
        decode_state(PATH, content, State)
    assert str(raised.value) == f"{PATH} {what}. Restore the file, or see docs/operations.md"


@pytest.mark.parametrize("content", [changed(share=1), changed(more=[1]), changed(uris=..., owner=None, files=...)])
def test_what_a_reader_can_do_without_is_no_fault(content: bytes) -> None:
    """An integer is a float, a field may be new, and one with a default may be missing."""
    assert decode_state(PATH, content, State).name == "a"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["format", *asdict(STATE)]), JSON | st.just(1)) | JSON)
def test_anything_is_a_state_or_damaged(held: object) -> None:
    """No JSON makes for another error, and what is read has the fields' types."""
    try:
        state = decode_state(PATH, orjson.dumps(held), State)
    except DamagedFile:
        return
    assert (type(state.name), type(state.beat), type(state.is_last)) == (str, int, bool)
    assert all(type(count) is int for count in state.counts.values())


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, int, True),
        (1, Any, True),
        ([["a", 1]], tuple[tuple[str, int], ...], True),
        ([["a"]], tuple[tuple[str, int], ...], False),
        ([["a", 1, 2]], list[tuple[str, int]], False),
        (None, str | None, True),
        ({"a": None}, dict[str, int | None], True),
    ],
)
def test_types_nest(value: object, hint: Any, expected: bool) -> None:
    """Lists stand for tuples, of one length where the type gives it."""
    assert is_of(value, hint) is expected
