"""Files after accidents never take the receipt, the endpoint or its CPU down."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.endpoint.mutants import try_all

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

FILES = 40
"""A minute; `python -m tests.endpoint.mutants --files=2000` tries more."""


def test_files_after_accidents(tmp_path: Path) -> None:
    found = try_all(tmp_path, FILES)
    assert (found.wrong, sum(found.codes.values())) == ([], FILES)
    assert set(found.codes) <= {"0", "1", "3"}
    assert found.dead_letters.keys() <= {"unreadable_image", "unsupported_format", "too_large", "password_protected"}
