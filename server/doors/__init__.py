"""Who may come in, and how often: keys, tickets, rates, other sites' pages."""
