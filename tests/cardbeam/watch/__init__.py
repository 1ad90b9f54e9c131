"""Tests of `cardbeam.watch`."""
