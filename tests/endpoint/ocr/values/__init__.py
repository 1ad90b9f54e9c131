"""Tests of `endpoint.ocr.values`."""
