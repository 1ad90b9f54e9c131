"""The control files of a run."""
