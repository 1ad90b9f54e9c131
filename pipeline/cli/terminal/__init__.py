"""What commands print: standard streams, logs, text and JSON."""
