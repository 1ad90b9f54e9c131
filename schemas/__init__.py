"""The contract and the tables as data: fields, document types, codes, Arrow schemas."""
