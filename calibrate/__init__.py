"""Turns measurements into step times, with intervals and an error card."""
