"""Tests of `endpoint.workers`."""
