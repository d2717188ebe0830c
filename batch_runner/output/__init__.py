"""The output file: its lines, its index, its lock, how it is appended to, compacted and packed."""
