"""Tests of `pipeline.launch`."""
