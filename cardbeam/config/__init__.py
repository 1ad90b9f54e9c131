"""What a run is told: options, settings, credentials."""
