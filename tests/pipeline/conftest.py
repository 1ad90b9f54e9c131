"""Spark, started once for all tests that ask it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.pipeline.spark import NotInstalled, jars, session


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Spark session; without Spark the test is left out by name."""
    try:
        with session(tmp_path_factory.mktemp("warehouse")) as started:
            yield started
    except NotInstalled as missing:
        pytest.skip(str(missing))


@pytest.fixture
def iceberg_spark(spark: Any) -> Any:
    """The session, if it has Iceberg."""
    try:
        jars()
    except NotInstalled as missing:
        pytest.skip(str(missing))
    return spark
