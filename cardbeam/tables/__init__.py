"""From the journal to Parquet tables and a receipt."""
