"""Tests of `cardbeam.run_state.liveness`."""
