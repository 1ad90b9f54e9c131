"""Tests of the contract as tables."""
