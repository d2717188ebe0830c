"""How much the service lets through, and what it says when it is too much."""
