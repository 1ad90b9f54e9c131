"""The views that join tables, as queries."""
