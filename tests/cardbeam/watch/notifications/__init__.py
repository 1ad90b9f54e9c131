"""Tests of `cardbeam.watch.notifications`."""
