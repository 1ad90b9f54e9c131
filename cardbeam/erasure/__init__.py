"""Erases persons from an output: plan, rewritten files, receipts that still add up, a certificate."""
