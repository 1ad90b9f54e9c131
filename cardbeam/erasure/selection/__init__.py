"""Which items and values are erased: persons, and what is older than it is kept."""
