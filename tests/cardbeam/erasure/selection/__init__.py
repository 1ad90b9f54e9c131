"""Tests of `cardbeam.erasure.selection`."""
