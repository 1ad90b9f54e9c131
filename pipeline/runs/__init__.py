"""The runs of an output: registry, lock, status, summary."""
