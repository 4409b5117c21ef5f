"""Many requests on their way to one process: which begin when, how many are worth having, and when one is asked for again."""
