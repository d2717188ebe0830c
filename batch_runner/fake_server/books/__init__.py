"""What really happened: attempts, bills, peaks, and how much of each limit was used."""
