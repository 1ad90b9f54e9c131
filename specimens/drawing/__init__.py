"""Cards drawn: layouts, type faces, patterns, and what makes them hard to read."""
