"""A session of the embedded model over a WebSocket: handshake, keys, dialects, tasks."""
