"""What the counters mean: rates, stages, and a verdict. Knows the board, and no process."""
