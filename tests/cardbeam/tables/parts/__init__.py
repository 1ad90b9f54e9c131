"""Tests of `cardbeam.tables.parts`."""
