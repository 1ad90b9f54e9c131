"""With both ends in a bucket, every image is a row once, and no crash, rename or second run pays again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.pipeline import cli
from tests.pipeline.killing import kill_and_resume
from tests.servers import Answer, CardServer
from tests.stores.conftest import Bucket
from tests.stores.killing import MOMENTS, run_killed_at
from tests.stores.marks import on_s3, others_nightly
from tests.stores.proxy import InjectedFault
from tests.stores.runs import Ends, answer_by_content, ids_of, new_ends, wait
from tests.wire import Received, key_of

pytestmark = pytest.mark.slow

LATENCY_S = 0.02
FLUSH_S = 0.2


@pytest.fixture
def ends(bucket: Bucket) -> Ends:
    return new_ends(bucket)


@pytest.fixture
def server() -> Iterator[CardServer]:
    with CardServer(answer_by_content(LATENCY_S), keeps_content=False) as server:
        yield server


@pytest.fixture
def hundred(draw: Callable[..., bytes]) -> dict[str, bytes]:
    return {f"{number // 50}/{number:05}.jpg": draw(number) for number in range(100)}


def _ids(ends: Ends) -> list[str]:
    return sorted(row["id"] for row in ends.rows("documents/type=passport"))


@others_nightly
def test_killed_and_resumed(
    ends: Ends, server: CardServer, bucket: Bucket, hundred: dict[str, bytes], draw: Callable[..., bytes]
):
    """Killed in its calls and as it publishes; `python -m tests.stores.paid_once` kills more, and at more moments."""
    ends.put(hundred)
    arguments = ends.arguments(server, "--max_in_flight=4")
    killed = kill_and_resume(server, arguments, kills=1, longest_s=0.3)
    assert killed.kills == 1
    lost_at_most = 4 + (FLUSH_S + 0.3) * 4 / LATENCY_S  # in flight, and a flush and a put at the rate of the calls
    print(f"{killed.paid_twice} calls paid twice over a kill, at most {lost_at_most:.0f}")
    assert killed.paid_twice <= lost_at_most
    more = {f"{number}.jpg": draw(number) for number in range(900, 904)}
    ends.put(more)
    assert run_killed_at(MOMENTS["ledger"], bucket.proxy, "backfill", *arguments)
    assert cli.run("backfill", *arguments).returncode == 0
    assert [server.calls[key_of(content)] for content in more.values()] == [1] * 4
    assert _ids(ends) == sorted(ids_of(hundred | more))
    receipts = [(one["status"], one["reconciled"], one["requests"]["succeeded"]) for one in ends.receipts()]
    (_, _, before), (_, _, after), *_ = receipts
    assert before + after == 100
    assert receipts == [
        ("interrupted", True, before),
        ("complete", True, after),
        ("interrupted", True, 4),
        ("complete", True, 0),
    ]
    assert ends.paths("journal", "runs/lock.json") == []


@others_nightly
def test_second_run_renames_and_copies_call_nothing(
    ends: Ends, server: CardServer, bucket: Bucket, hundred: dict[str, bytes]
):
    ends.put(hundred)
    arguments = ends.arguments(server)
    assert cli.run("backfill", *arguments, "--run_id=first").returncode == 0
    bucket.proxy.reset()
    assert cli.run("backfill", *arguments, "--run_id=second").returncode == 0
    assert not [one for one in bucket.proxy.seen if one.kind in ("get", "head") and "/in/" in one.key]
    names = list(hundred)
    ends.put({f"renamed/{name}": hundred[name] for name in names[:20]})
    ends.images.delete(names[:10])
    assert cli.run("backfill", *arguments, "--run_id=third").returncode == 0
    assert server.calls == {key_of(content): 1 for content in hundred.values()}
    counts = {one["run_id"]: one["requests"] for one in ends.receipts()}
    assert counts["second"] == counts["first"] | {"skipped": 100, "succeeded": 0, "called": 0}
    assert (counts["third"]["found"], counts["third"]["skipped"]) == (110, 110)


@on_s3
def test_what_is_answered_is_not_opened_again(
    ends: Ends, server: CardServer, bucket: Bucket, hundred: dict[str, bytes]
):
    ends.put(hundred)
    assert cli.run("backfill", *ends.arguments(server), "--run_id=first").returncode == 0
    ends.put({"new.jpg": b"no image"})
    bucket.proxy.reset()
    assert cli.run("backfill", *ends.arguments(server), "--run_id=second").returncode == 0
    opened = [request.key for request in bucket.proxy.seen if request.kind == "get" and "/in/" in request.key]
    assert [key.rpartition("/")[2] for key in opened] == ["new.jpg"]
    assert [row["code"] for row in ends.rows("dead_letters")] == ["unreadable_image"]


@on_s3
def test_manifest_in_the_bucket_with_labels_and_what_is_missing(
    ends: Ends, server: CardServer, hundred: dict[str, bytes]
):
    ends.put(hundred)
    uris = [f"{ends.images.root}/{name}" for name in (*hundred, "gone.jpg")]
    ends.images.write("list.csv", "\n".join(["uri,customer", *(f"{uri},c{n}" for n, uri in enumerate(uris))]).encode())
    arguments = [one for one in ends.arguments(server) if not one.startswith("--input")]
    assert cli.run("backfill", *arguments, f"--input={ends.images.root}/list.csv", "--run_id=first").returncode == 0
    rows = ends.rows("documents/type=passport")
    assert {row["uris"][0]: dict(row["labels"]) for row in rows} == {
        uri: {"customer": f"c{number}"} for number, uri in enumerate(uris[:-1])
    }
    (failed_record,) = ends.rows("dead_letters")
    assert (failed_record["code"], failed_record["uris"], dict(failed_record["labels"])) == (
        "not_found",
        [uris[-1]],
        {"customer": "c100"},
    )
    assert cli.run("backfill", *arguments, f"--input={ends.images.root}/list.csv", "--run_id=second").returncode == 0
    assert server.calls == {key_of(content): 1 for content in hundred.values()}


@on_s3
def test_an_answer_belongs_to_the_bytes_that_were_sent(ends: Ends, draw: Callable[..., bytes]):
    """Of images that change or go after the listing, some were read ahead; the others are sent as they are."""
    contents = {f"{number:02}.jpg": draw(number) for number in range(24)}
    answer = answer_by_content()

    def change_others(got: Received) -> Answer:
        if server.calls.total() == 1:  # the first call goes ahead alone
            others = [name for name, content in contents.items() if key_of(content) != got.key]
            gone.extend(others[::2])
            changed.update({name: draw(900 + int(name[:2])) for name in others[1::2]})
            ends.images.delete(gone)
            for name, content in changed.items():
                ends.images.write(name, content)
        return answer(got)

    gone: list[str] = []
    changed: dict[str, bytes] = {}
    ends.put(contents)
    with CardServer(change_others) as server:
        assert cli.run("backfill", *ends.arguments(server, "--max_in_flight=1"), "--run_id=first").returncode == 0
        as_listed = {name: content for name, content in contents.items() if key_of(content) in server.calls}
        as_changed = {name: content for name, content in changed.items() if name not in as_listed}
        assert as_changed
        assert set(_ids(ends)) == {*ids_of(as_listed), *ids_of(as_changed)}
        codes = [row["code"] for row in ends.rows("dead_letters")]
        assert codes == ["not_found"] * len(set(gone) - as_listed.keys())
        assert codes
        calls = server.calls.total()
        assert cli.run("backfill", *ends.arguments(server), "--run_id=second").returncode == 0
        assert server.calls.total() - calls == len(changed.keys() & as_listed.keys())


@on_s3
def test_credentials_that_run_out_stop_the_run_and_nothing_dies(ends: Ends, bucket: Bucket, hundred: dict[str, bytes]):
    answer = answer_by_content(LATENCY_S)

    def then_refuse(got: Received) -> Answer:
        if server.calls.total() == 20:
            bucket.proxy.decide = lambda request: InjectedFault.EXPIRED if "/in/" in request.key else None
        return answer(got)

    ends.put(hundred)
    with CardServer(then_refuse) as server:
        stopped = cli.run("backfill", *ends.arguments(server), "--run_id=first")
        assert (stopped.returncode, "credentials" in stopped.stdout) == (5, True), stopped.stdout + stopped.stderr
        (receipt,) = ends.receipts()
        assert (receipt["status"], receipt["requests"]["dead_lettered"], receipt["reconciled"]) == ("refused", 0, True)
        assert receipt["requests"]["deferred"] > 0
        bucket.proxy.reset()
        assert cli.run("backfill", *ends.arguments(server), "--run_id=second").returncode == 0
        assert server.calls == {key_of(content): 1 for content in hundred.values()}
    assert _ids(ends) == sorted(ids_of(hundred))


@on_s3
def test_one_image_that_is_refused_is_a_dead_letter(
    ends: Ends, server: CardServer, bucket: Bucket, draw: Callable[..., bytes]
):
    contents = {f"{number}.jpg": draw(number) for number in range(5)}
    ends.put(contents)
    bucket.proxy.reset(lambda request: InjectedFault.DENIED if request.key.endswith("/in/3.jpg") else None)
    assert cli.run("backfill", *ends.arguments(server), "--run_id=first").returncode == 0
    assert [row["code"] for row in ends.rows("dead_letters")] == ["forbidden"]
    assert len(_ids(ends)) == 4


@on_s3
def test_pairs_by_pattern(ends: Ends, server: CardServer, draw: Callable[..., bytes]):
    names = ("a_front", "a_back", "b_front", "b_back", "c_front")
    contents = {f"{name}.jpg": draw(number) for number, name in enumerate(names)}
    ends.put(contents)
    arguments = ends.arguments(server, "--operation=ekyc/cards")
    assert cli.run("backfill", *arguments, "--run_id=first").returncode == 0
    uris = {name: f"{ends.images.root}/{name}.jpg" for name in names}
    assert sorted(row["uris"] for row in ends.rows("documents/type=passport")) == [
        [uris["a_front"], uris["a_back"]],
        [uris["b_front"], uris["b_back"]],
    ]
    assert [(row["code"], row["uris"]) for row in ends.rows("dead_letters")] == [("unpaired", [uris["c_front"]])]
    assert cli.run("backfill", *arguments, "--unpaired=ekyc/card", "--run_id=second").returncode == 0
    operations = {tuple(row["uris"]): row["operation"] for row in ends.rows("documents/type=passport")}
    assert operations[(uris["c_front"],)] == "ekyc/card"


@on_s3
def test_while_no_journal_can_be_put_nobody_calls(ends: Ends, bucket: Bucket, hundred: dict[str, bytes]):
    latency_s, in_flight = 0.1, 4
    ends.put(hundred)
    bucket.proxy.reset(
        lambda request: InjectedFault.SLOW_DOWN if "journal" in request.key and request.kind == "put" else None
    )
    with CardServer(answer_by_content(latency_s), keeps_content=False) as server:
        arguments = ends.arguments(server, f"--max_in_flight={in_flight}")
        stopped = cli.run("backfill", *arguments, "--run_id=first")
        assert (stopped.returncode, "503" in stopped.stderr) == (4, True), stopped.stderr
        lost = server.calls.total()
        late_s = 2 * FLUSH_S + 0.2  # until a put is begun, and until it is late
        assert lost <= in_flight + late_s * in_flight / latency_s
        bucket.proxy.reset()
        assert cli.run("backfill", *arguments, "--run_id=second").returncode == 0
        assert server.calls.total() <= 100 + lost
    assert _ids(ends) == sorted(ids_of(hundred))


@on_s3
def test_who_wakes_up_after_a_takeover_ends_and_calls_nothing(
    ends: Ends, server: CardServer, hundred: dict[str, bytes]
):
    """Frozen in its calls until the next run is complete: every image is called once but those in flight."""
    ends.put(hundred)
    frozen = cli.start("backfill", *ends.arguments(server, "--max_in_flight=2"))
    wait(lambda: len(server.calls) >= 10)
    os.kill(frozen.pid, signal.SIGSTOP)
    assert cli.run("backfill", *ends.arguments(server)).returncode == 0
    calls = sum(server.calls.values())
    os.kill(frozen.pid, signal.SIGCONT)
    _, err = frozen.communicate(timeout=120)
    assert frozen.returncode == 4, err
    assert sum(server.calls.values()) <= calls + 2  # one that had its permission may be frozen on the way
    assert "Another process took over this run: this one did not respond for too long" in err
    assert _ids(ends) == sorted(ids_of(hundred))
