"""The machine-readable zone: located, segmented, classified, decoded."""
