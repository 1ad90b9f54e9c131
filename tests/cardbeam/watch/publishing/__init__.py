"""Tests of `cardbeam.watch.publishing`."""
