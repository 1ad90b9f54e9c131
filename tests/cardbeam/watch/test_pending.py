"""A watch remembers what is under way and nothing else, and never has two likely copies under way at once."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cardbeam.journal.follower import Known
from cardbeam.model.record import SettledAs
from cardbeam.model.request import Picture, Request
from cardbeam.watch.pending import Given, HandedOut, decode, encode, new_requests, to_give

ROOM = 4


def request(number: int, *, size_bytes: int | None = None, version: str = "1") -> Request:
    size_bytes = 1000 + number if size_bytes is None else size_bytes
    return Request("ekyc/card", (Picture(f"in/{number}.jpg", size_bytes, version),))


def settled(one: Request) -> Known:
    return Known("0" * 32, one.source_id, SettledAs.ANSWERED.value, retriable=False, uris=one.uris)


def is_new(*listed: Request, handed: HandedOut, known: set[str | None] = frozenset()) -> list[Request]:
    return list(new_requests(listed, handed, lambda one: one.source_id in known, lambda _: True))


def test_what_is_listed_and_neither_known_nor_under_way_is_new_once() -> None:
    one, two, three = map(request, (1, 2, 3))
    handed = HandedOut([Given(0, two)])
    assert is_new(one, two, three, three, handed=handed, known={one.source_id}) == [three]


def test_a_picture_that_is_not_whole_yet_waits() -> None:
    one, two = request(1), request(2)
    assert list(new_requests([one, two], HandedOut(), lambda _: False, lambda it: it == two)) == [two]


def test_an_updated_picture_is_new_once_its_earlier_version_is_settled() -> None:
    old, new = request(1), request(1, version="2")
    handed = HandedOut([Given(0, old)])
    assert is_new(new, handed=handed, known=set()) == []
    handed.settle(settled(old))
    assert is_new(new, handed=handed, known={old.source_id}) == [new]


def test_a_picture_that_changed_before_it_was_read_is_settled_by_its_uri() -> None:
    handed = HandedOut([Given(0, request(1))])
    handed.settle(settled(request(1, version="2")))
    assert len(handed) == 0


def test_a_record_that_is_told_once_more_settles_no_other_version() -> None:
    handed = HandedOut([Given(0, request(1, version="2"))])
    handed.settle(replace(settled(request(1)), may_be_old=True))
    assert len(handed) == 1
    handed.settle(replace(settled(request(1, version="2")), may_be_old=True))
    assert len(handed) == 0


def test_what_is_there_and_settled_ends_another_version_alone() -> None:
    handed = HandedOut([Given(0, request(1)), Given(0, request(2))])
    for there in (request(1, version="2"), request(2), request(3)):
        handed.drop_another(there)
    assert [one.request for one in handed] == [request(2)]
    assert not handed.may_be_copied(request(1))


def test_a_likely_copy_of_what_is_under_way_waits_and_copies_in_a_batch_stay_together() -> None:
    handed = HandedOut([Given(0, request(1, size_bytes=7))])
    copy, other, its_copy = request(2, size_bytes=7), request(3, size_bytes=8), request(4, size_bytes=8)
    batch = to_give([copy, other, its_copy], handed, room=9)
    assert batch == [other, its_copy]
    assert handed.groups(batch) == [("8", (other, its_copy))]
    handed.settle(settled(request(1, size_bytes=7)))
    assert to_give([copy], handed, room=9) == [copy]


def test_by_source_no_two_pictures_are_likely_copies() -> None:
    handed = HandedOut([Given(0, request(1, size_bytes=7))], by_source=True)
    assert to_give([request(2, size_bytes=7)], handed, room=9) == [request(2, size_bytes=7)]


@given(st.lists(st.builds(request, st.integers(0, 99), version=st.text(max_size=3)), max_size=8), st.integers(0, 9))
def test_the_file_names_all_that_was_given_out(requests: list[Request], number: int) -> None:
    given_out = [Given(number, replace(one, labels=(("customer", "ü"),))) for one in requests]
    assert decode(encode(given_out)) == given_out


class Watching(RuleBasedStateMachine):
    """Pictures come, change and are settled in any order, some of equal size."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[int, Request] = {}
        self.known: set[str | None] = set()
        self.given: list[str | None] = []
        self.handed = HandedOut()

    @rule(number=st.integers(0, 9), size=st.integers(0, 3), version=st.integers(0, 3))
    def put(self, number: int, size: int, version: int) -> None:
        self.files[number] = request(number, size_bytes=size, version=str(version))

    @rule()
    def look(self) -> None:
        new = is_new(*self.files.values(), handed=self.handed, known=self.known)
        batch = to_give(new, self.handed, ROOM - len(self.handed))
        keys_before = {self.handed.key_of(one.request) for one in self.handed}
        assert keys_before.isdisjoint(map(self.handed.key_of, batch))
        self.handed.add(0, batch)
        self.given += [one.source_id for one in batch]

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        if under_way := list(self.handed):
            one = data.draw(st.sampled_from(under_way)).request
            self.known.add(one.source_id)
            self.handed.settle(settled(one))

    @invariant()
    def nothing_is_given_out_twice_and_the_state_is_bounded(self) -> None:
        assert len(self.given) == len(set(self.given))
        assert len(self.handed) <= ROOM
        open_now = {one.request.source_id for one in self.handed}
        assert set(self.given) == self.known | open_now

    def teardown(self) -> None:
        """Whatever is there is given out sooner or later."""
        for _ in range(2 * len(self.files)):
            self.look()
            for one in self.handed:
                self.known.add(one.request.source_id)
                self.handed.settle(settled(one.request))
        assert {one.source_id for one in self.files.values()} <= set(self.given)


TestWatching = settings(max_examples=60, stateful_step_count=30, deadline=None)(Watching).TestCase
