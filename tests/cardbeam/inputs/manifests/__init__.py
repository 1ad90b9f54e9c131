"""Tests of `cardbeam.inputs`."""
