"""The two networks and what they share."""
