"""Who is told how a run goes: a person at a terminal, a log, a file that others read."""
