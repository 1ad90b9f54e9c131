"""Tests of `cardbeam`."""
