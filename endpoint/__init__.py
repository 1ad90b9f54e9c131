"""The embedded card endpoint: the contract of the vendor, read on this machine."""
