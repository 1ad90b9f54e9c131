"""The command line, the graph, and what surrounds a run."""
