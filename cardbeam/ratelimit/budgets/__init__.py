"""What a run may call and pay at the most."""
