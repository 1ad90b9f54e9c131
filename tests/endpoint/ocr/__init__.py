"""Tests of `endpoint.ocr`."""
