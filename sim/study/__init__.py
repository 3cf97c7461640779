"""Studies: many runs of variations of one scenario, compared."""
