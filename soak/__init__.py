"""A soak: hours of simulated time in which everything goes wrong at random, watched by an oracle (docs/soak.md)."""
