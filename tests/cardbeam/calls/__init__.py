"""Tests of `cardbeam.calls`."""
