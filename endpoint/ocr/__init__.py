"""From a card's pixels to field values."""
