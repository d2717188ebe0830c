"""What is done to outputs between runs: made smaller, cleared of rows that left the input, joined."""
