"""The release files: a single-file executable, archives, checksums, a bill of materials."""
