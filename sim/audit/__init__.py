"""The article's claims, each answered by measurement: definition, number, interval, verdict."""
