"""The command line: thin. Each module is a command; what they share is in `options`, `running` and `terminal`."""
