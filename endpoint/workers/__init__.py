"""Worker processes that read images."""
