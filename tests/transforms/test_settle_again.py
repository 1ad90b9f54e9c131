"""What is settled already is not paid for again: by copies, by bundles and runs that come again, by other runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.servers import Answer, CardServer, failure, key_of, success
from tests.transforms.rig import Rig
from transforms.claims import Claims
from transforms.elements import Fate, Request

ANSWERED = success(("passport", {"id": "B0000001"}))


def test_copies_are_paid_for_once(rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes) -> None:
    """Of many copies that come at once one is called, all others are duplicates, and each stands in the journal."""
    requests = [put(f"{number}.jpg", jpeg) for number in range(12)]
    with CardServer(lambda got: replace(ANSWERED, latency_s=0.05)) as server, ThreadPoolExecutor(12) as threads:
        rig = rig_of(server)
        fates = list(threads.map(rig.settle, requests))
        assert dict(server.calls) == {key_of(jpeg): 1}
    assert sorted(fates, key=str) == [Fate.ANSWERED] + [Fate.DUPLICATE] * 11
    assert sorted(one.uris for one in rig.records) == sorted(request.uris for request in requests)
    assert sorted(one.outcome for one in rig.records) == ["answered"] + ["copy"] * 11


def test_another_operation_is_another_request(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes
) -> None:
    """The same picture asked about in another way is paid for again."""
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        fates = [rig.settle(put("a.jpg", jpeg, operation)) for operation in ("ekyc/card", "ocr/card")]
        assert fates == [Fate.ANSWERED, Fate.ANSWERED]


def test_a_bundle_that_runs_again_pays_nothing(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """What a process settled it knows when the runner brings it again, also copies and the dead."""
    contents = [draw(1), draw(2), draw(1), b"no picture"]
    requests = [put(f"{number}.jpg", content) for number, content in enumerate(contents)]
    with CardServer(lambda got: failure("3") if got.key == key_of(draw(2)) else ANSWERED) as server:
        rig = rig_of(server)
        first, again = ([rig.settle(request, claims) for request in requests] for claims in (Claims(), Claims()))
        assert len(server.received) == 2
    assert first == again == [Fate.ANSWERED, Fate.DEAD, Fate.DUPLICATE, Fate.DEAD]


def test_another_process_of_a_run_pays_nothing(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """Another process of the same run knows from the journal what was settled, what failed for now included."""
    requests = [put(f"{number}.jpg", draw(number)) for number in range(2)]
    busy = key_of(draw(1))
    with CardServer(lambda got: Answer(status=500) if got.key == busy else ANSWERED) as server:
        first = rig_of(server)
        assert [first.settle(request) for request in requests] == [Fate.ANSWERED, Fate.DEAD]
        calls, other = len(server.received), rig_of(server)
        assert [other.settle(request) for request in requests] == [Fate.ANSWERED, Fate.DEAD]
        assert len(server.received) == calls


def test_an_image_that_failed_in_three_runs_waits_for_replay(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """A retriable failure is tried again by the next two runs, however often each met it, and by no later one.

    Runs are counted by content: under another name an image has failed as often.
    """
    bad = key_of(draw(0))
    with CardServer(lambda got: Answer(status=500) if got.key == bad else ANSWERED) as server:
        fates = []
        for number, run in enumerate((1, 1, 2, 2, 3, 3, 4)):
            rig = rig_of(server, run_id=f"r{run}")
            assert rig.settle(put("good.jpg", draw(number + 1))) is Fate.ANSWERED  # else none answers
            fates.append(rig.settle(put(f"bad-{run}.jpg", draw(0))))
        assert server.calls[bad] == 3 * 3
    assert fates == [Fate.DEAD] * 6 + [Fate.ANSWERED_BEFORE]
    assert [one.retriable for one in rig.records if one.code] == [True, True, False]


def test_an_image_that_was_not_there_in_three_runs(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes, tmp_path: Path
) -> None:
    """What cannot be read is counted too; once it can, it is another matter."""
    request = put("a.jpg", jpeg)
    (tmp_path / "a.jpg").unlink()
    with CardServer(lambda got: ANSWERED) as server:
        fates = [rig_of(server, run_id=f"r{run}").settle(request) for run in (1, 2, 3, 4)]
        fates.append(rig_of(server, run_id="r5").settle(put("a.jpg", jpeg)))
    assert fates == [*[Fate.DEAD] * 3, Fate.ANSWERED_BEFORE, Fate.ANSWERED]


def test_another_run_pays_nothing(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes, tmp_path: Path
) -> None:
    """A renamed picture is known by content, once opened, and from then on by its source without opening it."""
    with CardServer(lambda got: ANSWERED) as server:
        rig_of(server).settle(put("a.jpg", jpeg))
        renamed = put("b.jpg", jpeg)
        assert rig_of(server, run_id="r2").settle(renamed) is Fate.ANSWERED_BEFORE
        (tmp_path / "b.jpg").unlink()
        third = rig_of(server, run_id="r3")
        assert third.settle(renamed) is Fate.ANSWERED_BEFORE
        assert len(server.received) == 1
    assert [(one.outcome, one.uris) for one in third.records] == [
        ("answered", (str(tmp_path / "a.jpg"),)),
        ("copy", (str(tmp_path / "b.jpg"),)),
    ]


def test_a_changed_picture_is_new(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """Other bytes under the same name are another picture."""
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        assert [rig.settle(put("a.jpg", draw(number)), Claims()) for number in (1, 2)] == [Fate.ANSWERED] * 2
        assert dict(server.calls) == {key_of(draw(1)): 1, key_of(draw(2)): 1}


def test_known_by_source_reads_no_content(rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes) -> None:
    """With --dedupe=source copies are requests of their own, and each is known by its source."""
    first, second = put("a.jpg", jpeg), put("b.jpg", jpeg)
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server, knows_by_source=True)
        fates = [rig.settle(request, Claims()) for request in (first, second, first)]
        assert (fates, len(server.received)) == ([Fate.ANSWERED] * 3, 2)
    assert [one.item_id for one in rig.records] == [first.source_id, second.source_id]
