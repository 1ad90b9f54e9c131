"""Tests of `specimens`."""
