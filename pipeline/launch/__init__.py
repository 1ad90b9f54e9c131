"""Runs a graph: from the run's lock to its exit status."""
