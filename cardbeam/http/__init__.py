"""HTTP: pools, connections, and one call to the card endpoint."""
