"""The model's side of a session: what it says, calls and writes, and how fast."""
