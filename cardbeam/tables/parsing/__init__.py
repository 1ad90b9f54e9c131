"""Responses as documents and dead letters."""
