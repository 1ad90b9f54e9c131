"""The stages of the graphs, one file each; `ReadCards` is the one for pipelines of others."""

from transforms.read_cards import CardTables, ReadCards

__all__ = ["CardTables", "ReadCards"]
