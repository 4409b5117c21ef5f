"""Files that keep what was fetched, as it came, so that it is fetched once; decoded samples are kept in `sources/cached/`."""
