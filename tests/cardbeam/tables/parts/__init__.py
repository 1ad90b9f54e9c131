"""Tests of `cardbeam.tables`."""
