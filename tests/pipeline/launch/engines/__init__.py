"""Tests of `pipeline.launch.engines`."""
