"""Parts of a run: planned, read and written by themselves."""
