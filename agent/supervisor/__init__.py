"""Agent processes: start, watch, stop. See `process` for how one is spoken to."""
