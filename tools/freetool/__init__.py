"""A free-threaded CPython of one's own, for the project's suite and measurements: made once, kept in a cache."""
