"""The tables of a watch: made while it runs, and at its end."""
