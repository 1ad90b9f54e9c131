"""Tests of `cardbeam.tables.files`."""
