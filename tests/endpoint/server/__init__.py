"""Tests of `endpoint.server`."""
