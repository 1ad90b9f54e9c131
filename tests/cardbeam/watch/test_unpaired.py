"""The time that a side waits for the other counts from its first listing, whoever lists, and is kept in bounds."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.storage.folder import LocalFolder
from cardbeam.watch.unpaired import MAX_KEPT, UNPAIRED_FILE, UnpairedSides

SIDE = ("a_front.jpg",)
NOW_S = 1_800_000_000.0


class Clocks:
    """A process's clock, and the wall's."""

    def __init__(self) -> None:
        self.s, self.wall_s = 7.0, NOW_S

    def go(self, seconds: float) -> None:
        self.s += seconds
        self.wall_s += seconds

    def sides(self, folder: LocalFolder) -> UnpairedSides:
        sides = UnpairedSides(folder, lambda: self.s, lambda: self.wall_s)
        sides.load()
        return sides


def list_once(sides: UnpairedSides, *shown: tuple[str, ...], is_whole: bool = True) -> list[float]:
    sides.begin_listing()
    waited = [sides.waited_s(uris) for uris in shown]
    sides.end_listing(is_whole=is_whole)
    return waited


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


def test_a_restart_keeps_the_time(folder: LocalFolder) -> None:
    """Another process, whose clock begins anywhere, counts from the first listing."""
    clocks = Clocks()
    assert list_once(clocks.sides(folder), SIDE) == [0.0]
    clocks.go(100)
    clocks.s = 0.0
    sides = clocks.sides(folder)
    clocks.go(20)
    assert list_once(sides, SIDE) == [120.0]


def test_a_clock_that_is_set_changes_nothing_within_a_process_and_makes_no_time_negative(folder: LocalFolder) -> None:
    """Between processes a wall clock that was put back makes the side wait from then on, not longer than that."""
    clocks = Clocks()
    sides = clocks.sides(folder)
    list_once(sides, SIDE)
    clocks.go(50)
    clocks.wall_s -= 1000
    assert list_once(sides, SIDE) == [50.0]
    assert list_once(clocks.sides(folder), SIDE) == [0.0]


def test_what_a_listing_shows_no_longer_is_forgotten_unless_it_was_cut_short(folder: LocalFolder) -> None:
    """A side that was gone waits again; one that a failed listing did not show does not."""
    clocks = Clocks()
    sides = clocks.sides(folder)
    list_once(sides, SIDE)
    clocks.go(10)
    list_once(sides, is_whole=False)
    assert list_once(sides, SIDE) == [10.0]
    list_once(sides)
    assert (list_once(sides, SIDE), orjson.loads(folder.read(UNPAIRED_FILE))) == ([0.0], [[NOW_S + 10, *SIDE]])


def test_the_file_is_written_where_something_changed(folder: LocalFolder) -> None:
    """A watch without unpaired sides writes nothing, and one whose sides stay the same writes once."""
    clocks, written = Clocks(), []
    sides = clocks.sides(folder)
    list_once(sides)
    path = Path(folder.root, UNPAIRED_FILE)
    written.append(path.exists())
    list_once(sides, SIDE)
    before = path.stat().st_mtime_ns
    clocks.go(10)
    list_once(sides, SIDE)
    written.append(path.stat().st_mtime_ns == before)
    list_once(sides)
    assert (written, folder.read(UNPAIRED_FILE)) == ([False, True], b"[]")


def test_the_file_is_bounded_and_holds_those_that_waited_longest(folder: LocalFolder) -> None:
    """A flood of sides costs no more than the bound; what is left out counts from the next launch."""
    clocks = Clocks()
    sides = clocks.sides(folder)
    list_once(sides, SIDE)
    clocks.go(1)
    list_once(sides, SIDE, *((f"{number}.jpg",) for number in range(MAX_KEPT + 5)))
    kept = orjson.loads(folder.read(UNPAIRED_FILE))
    assert (len(kept), kept[0], len(sides)) == (MAX_KEPT, [NOW_S, *SIDE], MAX_KEPT + 6)


@given(st.binary(max_size=60) | st.lists(st.lists(st.none() | st.floats() | st.text(max_size=3))).map(orjson.dumps))
def test_a_damaged_file_is_no_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever stands in the file, the watch starts, and no side has waited for less than nothing."""
    folder = LocalFolder(str(tmp_path_factory.mktemp("sides")))
    folder.write(UNPAIRED_FILE, content)
    assert all(waited_s >= 0 for waited_s in list_once(Clocks().sides(folder), SIDE, ("",)))
