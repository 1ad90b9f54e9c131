"""The write-ahead log of responses."""
