"""What is processed already."""
