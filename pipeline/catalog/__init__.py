"""The tables as other engines see them: DDL, views, Iceberg."""
