"""Files of the tables: written, merged, laid out for queries."""
