"""What operators are told: metrics, call records, webhooks."""
