"""Tests of `endpoint`."""
