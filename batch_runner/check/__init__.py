"""`batch-runner check`: what a run would do, find wrong, cost and take, told before anything is sent."""
