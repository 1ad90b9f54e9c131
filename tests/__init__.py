"""Tests: a mirror of the tree, and the real servers they run against."""
