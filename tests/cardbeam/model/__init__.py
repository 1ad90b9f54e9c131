"""Tests of `cardbeam.model`."""
