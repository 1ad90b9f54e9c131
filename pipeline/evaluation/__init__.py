"""How well the cards of an output were read, against true values."""
