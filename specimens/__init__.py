"""Draws specimen cards of all twelve types: fictional people, plain layouts, MẪU / SPECIMEN across, a cartoon face.

Needs the Debian packages fonts-dejavu, fonts-liberation2, fonts-noto-core and fonts-ocr-b; reading cards does not.
"""
