"""Tests of `pipeline.runs.display`."""
