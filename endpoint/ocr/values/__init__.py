"""Printed text as the values of fields."""
