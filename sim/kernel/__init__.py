"""The compiled scheduler and step loop: arrays in, arrays changed in place."""
