"""By `--transfer=url` the endpoint fetches each image itself, by a presigned URL that nobody else gets to see."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlsplit
from urllib.request import urlopen

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cardbeam.storage.filesystems.bucket_objects import LIFETIME
from cardbeam.storage.object_store import connect, object_at
from cardbeam.storage.presign import presign
from tests.pipeline import cli
from tests.servers import Answer, CardServer
from tests.servers import InjectedFault as CallFault
from tests.stores.conftest import Bucket
from tests.stores.marks import on_s3, others_nightly
from tests.stores.proxy import InjectedFault
from tests.stores.runs import Ends, answer_by_content, ids_of, new_ends

pytestmark = pytest.mark.slow

SIGNATURES = {"s3": "X-Amz-Signature", "gs": "X-Goog-Signature", "az": "sig"}


@pytest.fixture
def ends(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Ends:
    if bucket.scheme == "gs":  # signing takes a private key, and any will do for an emulator
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {
            "type": "service_account",
            "gcs_base_url": bucket.proxy.url,
            "client_email": "test@example.com",
            "private_key": key.decode(),
            "private_key_id": "test",
        }
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account))
        monkeypatch.setitem(cli.ENVIRONMENT, "GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account))
        connect.cache_clear()
    return new_ends(bucket)


@pytest.fixture
def server() -> Iterator[CardServer]:
    with CardServer(answer_by_content()) as server:
        yield server


@others_nightly
def test_no_image_passes_through_us_and_no_url_is_kept(
    ends: Ends, server: CardServer, bucket: Bucket, draw: Callable[..., bytes]
):
    contents = {f"thẻ {number}.jpg": draw(number) for number in range(10)}
    ends.put(contents)
    bucket.proxy.reset()
    run = cli.run("backfill", *ends.arguments(server, "--transfer=url"), "--run_id=first")
    assert run.returncode == 0, run.stderr
    assert sorted(row["id"] for row in ends.rows("documents/type=passport")) == sorted(ids_of(contents))
    urls = [part.content.decode() for got in server.received for part in got.images]
    assert len(urls) == 10
    signatures = [dict(parse_qsl(urlsplit(url).query))[SIGNATURES[bucket.scheme]] for url in urls]
    fetched = [one for one in bucket.proxy.seen if one.kind == "get" and "/in/" in one.key]
    assert len(fetched) == 10  # by the endpoint; the run itself looked, and read none
    kept = b"".join(ends.output.read(path) for path in ends.paths("")) + (run.stdout + run.stderr).encode()
    assert not [one for one in signatures if one.encode() in kept]
    again = cli.run("backfill", *ends.arguments(server, "--transfer=url"), "--run_id=second")
    assert (again.returncode, len(server.received)) == (0, 10)


@on_s3
@pytest.mark.parametrize(
    "answer",
    [Answer(status=500), Answer(fault=CallFault.RESET), Answer(b"<html>", headers={"Content-Type": "text/html"})],
    ids=["500", "reset", "bad response"],
)
def test_no_url_is_told_when_calls_fail(ends: Ends, draw: Callable[..., bytes], answer: Answer):
    """Neither dead letters nor what a run says hold a URL, whichever way its call failed."""
    ends.put({f"{number}.jpg": draw(number) for number in range(3)})
    good = answer_by_content()
    with CardServer(lambda got: good(got) if len(server.calls) == 1 else answer) as server:
        run = cli.run("backfill", *ends.arguments(server, "--transfer=url"), "--max_attempts=2")
        urls = [part.content.decode() for got in server.received for part in got.images]
    assert len(ends.rows("dead_letters")) == 2, run.stderr
    kept = b"".join(ends.output.read(path) for path in ends.paths("")) + (run.stdout + run.stderr).encode()
    assert len(urls) > 3
    assert b"X-Amz-Signature" not in kept


def test_a_url_is_good_for_its_object_alone(ends: Ends, bucket: Bucket):
    ends.put({"one.jpg": b"one", "other.jpg": b"other"})
    url = presign(object_at(f"{ends.images.root}/one.jpg"), LIFETIME)
    assert urlopen(url).read() == b"one"
    if bucket.scheme != "gs":  # fake-gcs-server checks no signature
        with pytest.raises(HTTPError, match="403"):
            urlopen(url.replace("one.jpg", "other.jpg"))


@others_nightly
def test_what_is_gone_or_no_url_leads_to_is_a_dead_letter(ends: Ends, server: CardServer, tmp_path, jpeg: bytes):
    ends.put({"one.jpg": jpeg})
    (tmp_path / "local.jpg").write_bytes(jpeg)
    uris = [f"{ends.images.root}/one.jpg", f"{ends.images.root}/gone.jpg", str(tmp_path / "local.jpg")]
    (tmp_path / "list.txt").write_text("\n".join(uris))
    arguments = [one for one in ends.arguments(server, "--transfer=url") if not one.startswith("--input")]
    assert cli.run("backfill", *arguments, f"--input={tmp_path}/list.txt").returncode == 0
    assert sorted(row["code"] for row in ends.rows("dead_letters")) == ["no_url", "not_found"]
    assert len(server.received) == 1


@on_s3
def test_urls_that_die_with_the_credentials_stop_the_run(
    ends: Ends, server: CardServer, bucket: Bucket, draw: Callable[..., bytes]
):
    contents = {f"{number}.jpg": draw(number) for number in range(8)}
    ends.put(contents)
    bucket.proxy.reset(
        lambda request: InjectedFault.EXPIRED if "/in/" in request.key and len(server.received) > 3 else None
    )
    stopped = cli.run("backfill", *ends.arguments(server, "--transfer=url"), "--max_attempts=1", "--run_id=first")
    (receipt,) = ends.receipts()
    assert (stopped.returncode, receipt["requests"]["dead_lettered"]) == (5, 0), stopped.stderr
    bucket.proxy.reset()
    resumed = cli.run("backfill", *ends.arguments(server, "--transfer=url"), "--run_id=second")
    assert resumed.returncode == 0
    assert sorted(row["id"] for row in ends.rows("documents/type=passport")) == sorted(ids_of(contents))
