"""How commands read their options and report errors."""
