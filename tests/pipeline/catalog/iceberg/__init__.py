"""Tests of `pipeline.catalog.iceberg`."""
