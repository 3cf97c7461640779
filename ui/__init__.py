"""The `trilemma` command."""
