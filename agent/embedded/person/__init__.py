"""The person's side of a session: audio comes in, turns are found in it."""
