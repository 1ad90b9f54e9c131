"""Reads the cards of an image."""
