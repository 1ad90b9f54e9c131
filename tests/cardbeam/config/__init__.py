"""Tests of `cardbeam.config`."""
