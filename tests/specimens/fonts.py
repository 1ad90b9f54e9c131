"""Tests that draw cards need fonts of the system; where some are missing they are left out, and say which."""

from __future__ import annotations

import pytest

from specimens.drawing.fonts import missing_packages

_MISSING = missing_packages()
needs_fonts = pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")
