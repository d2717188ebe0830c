"""Runs that nobody watches: job files."""
