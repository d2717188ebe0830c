"""The service's language: what may be asked, how it is refused, and the shape of what comes back."""
