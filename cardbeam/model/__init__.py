"""The data that travels through the graph."""
