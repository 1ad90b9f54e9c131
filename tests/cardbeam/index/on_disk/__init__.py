"""Tests of `cardbeam.index`."""
