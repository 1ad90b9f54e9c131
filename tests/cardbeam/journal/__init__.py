"""Tests of `cardbeam.journal`."""
