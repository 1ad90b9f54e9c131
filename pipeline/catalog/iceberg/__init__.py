"""Iceberg tables of a catalog: registered, copied, erased."""
