"""The tasks of one call and what joins them."""
