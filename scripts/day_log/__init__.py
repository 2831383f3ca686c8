"""The log of one day, for docs/operations.md."""
