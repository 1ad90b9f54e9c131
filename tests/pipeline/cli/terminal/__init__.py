"""Tests of `pipeline.cli.terminal`."""
