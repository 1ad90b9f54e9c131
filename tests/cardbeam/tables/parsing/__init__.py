"""Tests of `cardbeam.tables.parsing`."""
