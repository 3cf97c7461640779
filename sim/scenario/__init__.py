"""The scenario file: its schema, how it is read, and what is said about a wrong one."""
