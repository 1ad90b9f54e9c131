"""From the inputs of a run to its requests."""
