"""What the model says, and what it costs."""
