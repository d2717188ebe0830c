"""Runs that nobody watches: job files, which night it is, what came of the nights before, and who starts them."""
