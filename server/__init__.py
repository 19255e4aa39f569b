"""The HTTP server: starts and stops agents, hosts the local channels, the page and a model."""
