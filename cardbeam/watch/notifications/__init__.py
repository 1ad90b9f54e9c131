"""Messages about new objects, as stores send them over a topic."""
