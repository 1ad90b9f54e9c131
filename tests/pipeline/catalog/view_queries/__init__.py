"""Tests of `pipeline.catalog.view_queries`."""
