"""Tests of `pipeline.catalog`."""
