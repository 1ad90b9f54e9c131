"""The foundation, which knows no Beam: one paid call to the endpoint, and what surrounds it."""
