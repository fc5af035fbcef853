"""The two networks, and the flow of the one that generates."""
