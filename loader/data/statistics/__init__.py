"""What the values of a data set are like: each row measured by itself, and the rows put together in their order."""
