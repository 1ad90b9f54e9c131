"""The index on disk: what all earlier runs processed, in sorted files."""
