"""How an epoch is cut into batches, for one rank of a data-parallel job, and which samples each of them holds."""
