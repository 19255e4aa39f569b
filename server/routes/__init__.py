"""The routes, one file a subject. Each has a function that makes its Quart blueprint."""
