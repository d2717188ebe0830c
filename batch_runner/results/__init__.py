"""Everything that reads an output."""
