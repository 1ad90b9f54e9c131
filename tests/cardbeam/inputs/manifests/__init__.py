"""Tests of `cardbeam.inputs.manifests`."""
