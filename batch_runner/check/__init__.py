"""`batch-runner check` and `--dry-run`: what a run would do, find wrong, cost and take, told before anything is sent."""
