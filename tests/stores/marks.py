"""On which stores a test runs; without a mark on each."""

from __future__ import annotations

import pytest

from tests.stores.servers import KINDS

on_s3 = pytest.mark.parametrize("running", ["s3"], indirect=True)
"""For what has nothing of a store's own in it: one is enough."""
others_nightly = pytest.mark.parametrize(
    "running",
    ["s3", *(pytest.param(kind, marks=pytest.mark.nightly) for kind in KINDS if kind != "s3")],
    indirect=True,
)
"""Whole runs, which say little of a store that tests of the store alone do not."""
