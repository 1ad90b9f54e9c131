"""The rate limit, shared by all workers of a run."""
