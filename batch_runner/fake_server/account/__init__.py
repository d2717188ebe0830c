"""The account behind a key: what it may call, what it has, what it has spent."""
