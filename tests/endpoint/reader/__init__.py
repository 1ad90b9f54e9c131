"""Tests of `endpoint.reader`."""
