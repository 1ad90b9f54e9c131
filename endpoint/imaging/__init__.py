"""From image bytes to upright cards in RGB."""
