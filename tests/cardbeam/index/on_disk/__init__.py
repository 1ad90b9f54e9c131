"""Tests of `cardbeam.index.on_disk`."""
