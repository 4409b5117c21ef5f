"""Buckets, web servers and whatever else has objects: the doors to the libraries that read them, and what their errors mean."""
