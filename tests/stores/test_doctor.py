"""`doctor` names the right that a bucket refuses, and a bucket that is not there."""

from __future__ import annotations

from uuid import uuid4

import pytest

from cardbeam.storage.folder import open_folder
from pipeline.launch.checks.check_setup import FAILED, OK, check_store
from tests.stores.conftest import Bucket
from tests.stores.proxy import InjectedFault

pytestmark = pytest.mark.slow


def test_all_rights_of_a_run_are_tried(bucket: Bucket) -> None:
    """Nothing is left behind."""
    folder = open_folder(f"{bucket.uri}/{uuid4().hex}")
    assert [one.status for one in check_store(folder)] == [OK]
    assert list(folder.list("")) == []


@pytest.mark.parametrize(("kind", "right"), [("list", "list"), ("put", "write"), ("get", "read"), ("delete", "delete")])
def test_a_refused_right_is_named(bucket: Bucket, kind: str, right: str) -> None:
    """With the exit status of refused credentials."""
    bucket.proxy.reset(lambda request: InjectedFault.DENIED if request.kind == kind else None)
    found = [one for one in check_store(open_folder(f"{bucket.uri}/{uuid4().hex}")) if one.status == FAILED]
    assert f"output: {right}" in [one.check for one in found]
    assert {one.exit_status for one in found} == {5}
    assert all(f"Grant the right to {one.check.removeprefix('output: ')}" in one.advice for one in found)


def test_a_bucket_that_is_not_there_is_named(bucket: Bucket) -> None:
    """By its name."""
    found = [one for one in check_store(open_folder(f"{bucket.scheme}://no-such-bucket/out")) if one.status == FAILED]
    assert found
    assert all("no-such-bucket" in one.message for one in found)
