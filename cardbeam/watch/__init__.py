"""The inputs of a watch: listings and notifications."""
