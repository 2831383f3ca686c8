"""Blocking HTTP calls that another thread can cancel, for GitHub's API and for Docker engines alike."""
