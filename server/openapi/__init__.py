"""The OpenAPI document, derived from the routes and from the classes that validate."""
