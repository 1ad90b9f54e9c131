"""Tests of `cardbeam.ratelimit.budgets`."""
