"""Who is told of a run: addresses, services, commands, files, a log. None of them can fail it."""
