"""Tests of `endpoint.imaging`."""
