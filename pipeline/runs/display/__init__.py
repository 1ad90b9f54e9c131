"""How runs are shown: on a terminal, and as gauges."""
