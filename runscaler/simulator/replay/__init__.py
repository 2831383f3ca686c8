"""Replays: recorded messages of GitHub are sent again (docs/behaviour.md § 10.5)."""
