"""The classifiers of glyphs and digits, trained on drawings."""
