"""Tests of `cardbeam.storage`."""
