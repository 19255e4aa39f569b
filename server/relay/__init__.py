"""The local channels: members, and what goes between them."""
