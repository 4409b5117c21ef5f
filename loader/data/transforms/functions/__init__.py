"""Transforms that run a function of the user's: on one array (`Map`), or on several samples at once (`Batch`)."""
