"""One printer: all that changes while we run."""
