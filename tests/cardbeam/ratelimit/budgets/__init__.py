"""Tests of `cardbeam.ratelimit`."""
