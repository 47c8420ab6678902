"""Puts the program, its units and what belongs to them in place, and takes them away again.

Nothing here is imported by a service that runs. Everything is a list of `Step`s, so that `--dry-run` prints exactly
what would be done.
"""
