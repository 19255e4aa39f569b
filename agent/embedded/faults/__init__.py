"""What goes wrong on the wire of an embedded session, by a plan."""
