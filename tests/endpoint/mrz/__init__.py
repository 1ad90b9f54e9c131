"""Tests of `endpoint.mrz`."""
