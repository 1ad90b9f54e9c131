"""A watch remembers what is in progress and nothing else, and never has two likely duplicates in progress at once."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cardbeam.journal.follower import RecordKey
from cardbeam.model.record import RecordStatus
from cardbeam.model.request import ImageRef, Request
from cardbeam.watch.pending import PendingRequest, PendingRequests, decode, encode, new_requests, next_batch

ROOM = 4


def request(number: int, *, size_bytes: int | None = None, version: str = "1") -> Request:
    size_bytes = 1000 + number if size_bytes is None else size_bytes
    return Request("ekyc/card", (ImageRef(f"in/{number}.jpg", size_bytes, version),))


def processed(one: Request) -> RecordKey:
    return RecordKey("0" * 32, one.source_id, RecordStatus.SUCCEEDED.value, retriable=False, uris=one.uris)


def is_new(*listed: Request, pending: PendingRequests, known: set[str | None] = frozenset()) -> list[Request]:
    return list(new_requests(listed, pending, lambda one: one.source_id in known, lambda _: True))


def test_what_is_listed_and_neither_known_nor_under_way_is_new_once() -> None:
    one, two, three = map(request, (1, 2, 3))
    pending = PendingRequests([PendingRequest(0, two)])
    assert is_new(one, two, three, three, pending=pending, known={one.source_id}) == [three]


def test_an_image_that_is_not_whole_yet_waits() -> None:
    one, two = request(1), request(2)
    assert list(new_requests([one, two], PendingRequests(), lambda _: False, lambda it: it == two)) == [two]


def test_an_updated_image_is_new_once_its_earlier_version_is_settled() -> None:
    old, new = request(1), request(1, version="2")
    pending = PendingRequests([PendingRequest(0, old)])
    assert is_new(new, pending=pending, known=set()) == []
    pending.complete(processed(old))
    assert is_new(new, pending=pending, known={old.source_id}) == [new]


def test_an_image_that_changed_before_it_was_read_is_settled_by_its_uri() -> None:
    pending = PendingRequests([PendingRequest(0, request(1))])
    pending.complete(processed(request(1, version="2")))
    assert len(pending) == 0


def test_a_record_that_is_told_once_more_settles_no_other_version() -> None:
    pending = PendingRequests([PendingRequest(0, request(1, version="2"))])
    pending.complete(replace(processed(request(1)), may_be_old=True))
    assert len(pending) == 1
    pending.complete(replace(processed(request(1, version="2")), may_be_old=True))
    assert len(pending) == 0


def test_what_is_there_and_settled_ends_another_version_alone() -> None:
    pending = PendingRequests([PendingRequest(0, request(1)), PendingRequest(0, request(2))])
    for there in (request(1, version="2"), request(2), request(3)):
        pending.drop_outdated(there)
    assert [one.request for one in pending] == [request(2)]
    assert not pending.has_likely_duplicate(request(1))


def test_a_likely_copy_of_what_is_under_way_waits_and_copies_in_a_batch_stay_together() -> None:
    pending = PendingRequests([PendingRequest(0, request(1, size_bytes=7))])
    copy, other, its_copy = request(2, size_bytes=7), request(3, size_bytes=8), request(4, size_bytes=8)
    batch = next_batch([copy, other, its_copy], pending, max_requests=9)
    assert batch == [other, its_copy]
    assert pending.groups(batch) == [("8", (other, its_copy))]
    pending.complete(processed(request(1, size_bytes=7)))
    assert next_batch([copy], pending, max_requests=9) == [copy]


def test_by_source_no_two_images_are_likely_copies() -> None:
    pending = PendingRequests([PendingRequest(0, request(1, size_bytes=7))], by_source=True)
    assert next_batch([request(2, size_bytes=7)], pending, max_requests=9) == [request(2, size_bytes=7)]


@given(st.lists(st.builds(request, st.integers(0, 99), version=st.text(max_size=3)), max_size=8), st.integers(0, 9))
def test_the_file_names_all_that_was_given_out(requests: list[Request], number: int) -> None:
    given_out = [PendingRequest(number, replace(one, labels=(("customer", "ü"),))) for one in requests]
    assert decode(encode(given_out)) == given_out


class Watching(RuleBasedStateMachine):
    """Images come, change and are processed in any order, some of equal size."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[int, Request] = {}
        self.known: set[str | None] = set()
        self.given: list[str | None] = []
        self.pending = PendingRequests()

    @rule(number=st.integers(0, 9), size=st.integers(0, 3), version=st.integers(0, 3))
    def put(self, number: int, size: int, version: int) -> None:
        self.files[number] = request(number, size_bytes=size, version=str(version))

    @rule()
    def compare(self) -> None:
        new = is_new(*self.files.values(), pending=self.pending, known=self.known)
        batch = next_batch(new, self.pending, ROOM - len(self.pending))
        keys_before = {self.pending.key_of(one.request) for one in self.pending}
        assert keys_before.isdisjoint(map(self.pending.key_of, batch))
        self.pending.add(0, batch)
        self.given += [one.source_id for one in batch]

    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        if under_way := list(self.pending):
            one = data.draw(st.sampled_from(under_way)).request
            self.known.add(one.source_id)
            self.pending.complete(processed(one))

    @invariant()
    def nothing_is_given_out_twice_and_the_state_is_bounded(self) -> None:
        assert len(self.given) == len(set(self.given))
        assert len(self.pending) <= ROOM
        open_now = {one.request.source_id for one in self.pending}
        assert set(self.given) == self.known | open_now

    def teardown(self) -> None:
        """Whatever is there is dispatched sooner or later."""
        for _ in range(2 * len(self.files)):
            self.compare()
            for one in self.pending:
                self.known.add(one.request.source_id)
                self.pending.complete(processed(one.request))
        assert {one.source_id for one in self.files.values()} <= set(self.given)


TestWatching = settings(max_examples=60, stateful_step_count=30, deadline=None)(Watching).TestCase
