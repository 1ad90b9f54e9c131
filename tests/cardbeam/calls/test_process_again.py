"""What is processed already is not paid for again: by duplicates, repeated bundles, other runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from cardbeam.calls.duplicates import InFlightDuplicates
from cardbeam.index.load import load_index
from cardbeam.model.record import JournalRecord
from cardbeam.model.request import Labels, Request
from cardbeam.model.result import RequestOutcome
from tests.cardbeam.rig import Rig
from tests.servers import Answer, CardServer, failure, success
from tests.wire import key_of

ANSWERED = success(("passport", {"id": "B0000001"}))


def test_copies_are_paid_for_once(rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes) -> None:
    """Of many duplicates that come at once one is called, all others are duplicates, and each stands in the journal."""
    requests = [put(f"{number}.jpg", jpeg) for number in range(12)]
    with CardServer(lambda got: replace(ANSWERED, latency_s=0.05)) as server, ThreadPoolExecutor(12) as threads:
        rig = rig_of(server)
        outcomes = list(threads.map(rig.process, requests))
        assert dict(server.calls) == {key_of(jpeg): 1}
    assert sorted(outcomes, key=str) == [RequestOutcome.DUPLICATE] * 11 + [RequestOutcome.SUCCEEDED]
    assert sorted(one.uris for one in rig.records) == sorted(request.uris for request in requests)
    assert sorted(one.outcome for one in rig.records) == ["duplicate"] * 11 + ["succeeded"]


def test_another_operation_is_another_request(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes
) -> None:
    """The same image asked about in another way is paid for again."""
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        outcomes = [rig.process(put("a.jpg", jpeg, operation)) for operation in ("ekyc/card", "ocr/card")]
        assert outcomes == [RequestOutcome.SUCCEEDED, RequestOutcome.SUCCEEDED]


def test_a_bundle_that_runs_again_pays_nothing(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """What a process processed it knows when the runner brings it again, also duplicates and failures."""
    contents = [draw(1), draw(2), draw(1), b"no image"]
    requests = [put(f"{number}.jpg", content) for number, content in enumerate(contents)]
    with CardServer(lambda got: failure("3") if got.key == key_of(draw(2)) else ANSWERED) as server:
        rig = rig_of(server)
        first, again = (
            [rig.process(request, duplicates) for request in requests]
            for duplicates in (InFlightDuplicates(), InFlightDuplicates())
        )
        assert len(server.received) == 2
    assert (
        first
        == again
        == [
            RequestOutcome.SUCCEEDED,
            RequestOutcome.DEAD_LETTERED,
            RequestOutcome.DUPLICATE,
            RequestOutcome.DEAD_LETTERED,
        ]
    )


def test_another_process_of_a_run_pays_nothing(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """Another process of the same run knows from the journal what was processed, what failed for now included."""
    requests = [put(f"{number}.jpg", draw(number)) for number in range(2)]
    busy = key_of(draw(1))
    with CardServer(lambda got: Answer(status=500) if got.key == busy else ANSWERED) as server:
        first = rig_of(server)
        assert [first.process(request) for request in requests] == [
            RequestOutcome.SUCCEEDED,
            RequestOutcome.DEAD_LETTERED,
        ]
        calls, other = len(server.received), rig_of(server)
        assert [other.process(request) for request in requests] == [
            RequestOutcome.SUCCEEDED,
            RequestOutcome.DEAD_LETTERED,
        ]
        assert len(server.received) == calls


def test_an_image_that_failed_in_three_runs_waits_for_replay(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """A retriable failure is tried again by the next two runs, however often each met it, and by no later one.

    Runs are counted by content: under another name an image has failed as often.
    """
    bad = key_of(draw(0))
    with CardServer(lambda got: Answer(status=500) if got.key == bad else ANSWERED) as server:
        outcomes = []
        for number, run in enumerate((1, 1, 2, 2, 3, 3, 4)):
            rig = rig_of(server, run_id=f"r{run}")
            assert rig.process(put("good.jpg", draw(number + 1))) is RequestOutcome.SUCCEEDED  # else none answers
            outcomes.append(rig.process(put(f"bad-{run}.jpg", draw(0))))
        assert server.calls[bad] == 3 * 3
    assert outcomes == [RequestOutcome.DEAD_LETTERED] * 6 + [RequestOutcome.SKIPPED]
    assert [one.retriable for one in rig.records if one.outcome == "failed"] == [True, True, False]


def test_an_image_that_was_not_there_in_three_runs(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes, tmp_path: Path
) -> None:
    """What cannot be read is counted too; once it can, it is another matter."""
    request = put("a.jpg", jpeg)
    (tmp_path / "a.jpg").unlink()
    with CardServer(lambda got: ANSWERED) as server:
        outcomes = [rig_of(server, run_id=f"r{run}").process(request) for run in (1, 2, 3, 4)]
        outcomes.append(rig_of(server, run_id="r5").process(put("a.jpg", jpeg)))
    assert outcomes == [*[RequestOutcome.DEAD_LETTERED] * 3, RequestOutcome.SKIPPED, RequestOutcome.SUCCEEDED]


def test_another_run_pays_nothing(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes, tmp_path: Path
) -> None:
    """A renamed image is known by content, once opened, and from then on by its source without opening it."""
    with CardServer(lambda got: ANSWERED) as server:
        rig_of(server).process(put("a.jpg", jpeg))
        renamed = put("b.jpg", jpeg)
        assert rig_of(server, run_id="r2").process(renamed) is RequestOutcome.SKIPPED
        (tmp_path / "b.jpg").unlink()
        third = rig_of(server, run_id="r3")
        assert third.process(renamed) is RequestOutcome.SKIPPED
        assert len(server.received) == 1
    assert [(one.outcome, one.uris) for one in third.records] == [
        ("succeeded", (str(tmp_path / "a.jpg"),)),
        ("duplicate", (str(tmp_path / "b.jpg"),)),
    ]


def test_a_changed_image_is_new(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """Other bytes under the same name are another image."""
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        assert [rig.process(put("a.jpg", draw(number)), InFlightDuplicates()) for number in (1, 2)] == [
            RequestOutcome.SUCCEEDED
        ] * 2
        assert dict(server.calls) == {key_of(draw(1)): 1, key_of(draw(2)): 1}


def test_known_by_source_reads_no_content(rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes) -> None:
    """With --dedupe=source duplicates are requests of their own, and each is known by its source."""
    first, second = put("a.jpg", jpeg), put("b.jpg", jpeg)
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server, dedupe_by_source=True)
        outcomes = [rig.process(request, InFlightDuplicates()) for request in (first, second, first)]
        assert (outcomes, len(server.received)) == ([RequestOutcome.SUCCEEDED] * 3, 2)
    assert [one.item_id for one in rig.records] == [first.source_id, second.source_id]


def labelled(request: Request, customer: str) -> Request:
    return replace(request, labels=(("customer", customer), ("branch", "north")))


def message(rig: Rig) -> list[tuple[str, tuple[str, ...], Labels, str | None]]:
    """What the journal says of each input, in the order of its names."""
    return sorted((one.outcome, one.uris, one.labels, one.code) for one in rig.records)


def test_labels_are_recorded_once_and_without_a_call(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes, tmp_path: Path
) -> None:
    """An image that comes with other labels, in its run or a later one, is not sent; each set of labels is kept once.

    A later run knows the labels in any order, and does not open the image.
    """
    request = put("a.jpg", jpeg)
    with CardServer(lambda got: ANSWERED) as server:
        outcomes = [rig_of(server).process(labelled(request, customer)) for customer in "112"]
        (tmp_path / "a.jpg").unlink()
        for run in ("r2", "r3"):
            rig = rig_of(server, run_id=run)
            outcomes += [rig.process(labelled(request, customer)) for customer in "234"]
            turned = replace(labelled(request, "3"), labels=labelled(request, "3").labels[::-1])
            outcomes.append(rig.process(turned))
        assert len(server.received) == 1
    assert outcomes == [RequestOutcome.SUCCEEDED] * 3 + [RequestOutcome.SKIPPED] * 8
    assert message(rig) == [
        *(("duplicate", request.uris, labelled(request, customer).labels, None) for customer in "234"),
        ("succeeded", request.uris, labelled(request, "1").labels, None),
    ]


def test_duplicates_of_a_failed_image_say_why_it_failed(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """A duplicate in its run, one with other labels, a renamed one in a later run: each has the code, none is sent."""
    bad = {key_of(draw(1)): failure("3"), key_of(draw(2)): Answer(status=500)}
    with CardServer(lambda got: bad.get(got.key, ANSWERED)) as server:
        rig = rig_of(server)
        final, for_now = put("final.jpg", draw(1)), put("now.jpg", draw(2))
        requests = [final, put("copy.jpg", draw(1)), labelled(final, "7"), for_now, put("again.jpg", draw(2))]
        outcomes = [rig.process(request) for request in (put("good.jpg", draw(0)), *requests)]
        later = rig_of(server, run_id="r2")
        outcomes += [later.process(request) for request in (put("renamed.jpg", draw(1)), labelled(final, "8"))]
        assert {server.calls[key] for key in (key_of(draw(0)), key_of(draw(1)))} == {1}
    assert outcomes == [
        *(
            RequestOutcome.SUCCEEDED,
            RequestOutcome.DEAD_LETTERED,
            RequestOutcome.DUPLICATE,
            RequestOutcome.DUPLICATE,
            RequestOutcome.DEAD_LETTERED,
            RequestOutcome.DUPLICATE,
        ),
        *[RequestOutcome.SKIPPED] * 2,
    ]
    text = {
        (Path(one.uris[0]).stem, one.labels[:1]): (one.outcome, one.stage, one.code, one.retriable, one.attempts)
        for one in later.records
    }
    no_card = ("call", "error_3", False)
    assert text == {
        ("good", ()): ("succeeded", None, None, False, 1),
        ("final", ()): ("failed", *no_card, 1),
        ("copy", ()): ("duplicate", *no_card, 0),
        ("final", (("customer", "7"),)): ("duplicate", *no_card, 0),
        ("now", ()): ("failed", "call", "http_500", True, 3),
        ("again", ()): ("duplicate", "call", "http_500", True, 0),
        ("renamed", ()): ("duplicate", *no_card, 0),
        ("final", (("customer", "8"),)): ("duplicate", *no_card, 0),
    }


def test_an_image_of_unknown_version_is_recorded_once(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes
) -> None:
    """Where a store tells no version, an image is opened in each run, and its second record is not made."""
    request = put("a.jpg", jpeg)

    def unversioned(rig: Rig) -> JournalRecord:
        record = rig.records[0]
        return structs.replace(record, source_id=None)

    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        assert rig.process(request) is RequestOutcome.SUCCEEDED
        record = unversioned(rig)
    index = load_index(rig.folder, "r2")
    known = [index.has_input(None, record.input_id)]
    index.record(record)
    known.append(index.has_input(None, record.input_id))
    assert known == [False, True]


def test_an_image_that_is_put_back_is_recorded_once(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """Replaced and put back in the same version, an image is the newest of its place again; nothing is paid again."""
    with CardServer(lambda got: ANSWERED) as server:
        first = put("a.jpg", draw(1))
        assert rig_of(server).process(first) is RequestOutcome.SUCCEEDED
        second = put("a.jpg", draw(2))
        assert rig_of(server, run_id="r2").process(second) is RequestOutcome.SUCCEEDED
        put("a.jpg", draw(1))
        rig = rig_of(server, run_id="r3")
        assert [rig.process(first, InFlightDuplicates()) for _ in range(2)] == [RequestOutcome.SKIPPED] * 2
        assert len(server.received) == 2
    item_ids = [one.item_id for one in rig.records]
    assert item_ids == [item_ids[0], item_ids[1], item_ids[0]]
    assert [one.outcome for one in rig.records] == ["succeeded", "succeeded", "duplicate"]
