"""Tests of `cardbeam.http`."""
