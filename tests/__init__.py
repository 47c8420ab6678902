"""Tests of deepdupe-daemon. `tests/README.md` says what runs where."""
