"""Whoever reads by Iceberg or by receipts, beside a writer, sees each row once and none go."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.current_files import current_files
from pipeline.cli.exit_codes import UsageError
from tests.pipeline.cli import ENVIRONMENT, ROOT
from tests.pipeline.nights import write_nights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> LocalFolder:
    """Two runs and a half-finished one."""
    return write_nights(tmp_path_factory.mktemp("nights"))


def test_current_files(folder: LocalFolder) -> None:
    """The files with rows of the runs that have a receipt, by absolute paths."""
    import pyarrow.dataset as ds

    rows = ds.dataset(current_files(folder.root, "passport")).to_table(["item_id"])
    assert (len(rows), current_files(folder.root, "officer_id_card_front")) == (30 + 29, [])
    with pytest.raises(UsageError, match="there is no table 'passports': expected one of "):
        current_files(folder.root, "passports")


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("by", ["iceberg", "receipts"])
def test_beside_a_writer(by: str) -> None:
    """For 20 seconds no query of pyarrow or DuckDB fails, no row is there twice, no count falls."""
    command = [sys.executable, "-m", "tests.pipeline.table_readers", f"--by={by}", "--minutes=0.34"]
    command.append("--engines=pyarrow,duckdb")
    ended = subprocess.run(command, check=False, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
