"""Connections: how they are accepted, encrypted, bounded and spoken to."""
