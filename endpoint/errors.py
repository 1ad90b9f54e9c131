"""The root of the errors that the endpoint raises itself."""

from __future__ import annotations


class EndpointError(Exception):
    """An error whose message is our own; what a caller is told of it is a code of the contract."""
