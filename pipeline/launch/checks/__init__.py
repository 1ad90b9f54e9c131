"""Checks of a set-up before a run."""
