"""Scenarios as TOML files: the shipped ones beside this module, and how any of them is read."""
