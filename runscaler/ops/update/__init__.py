"""`runner update`: finds a release, downloads and verifies it, and replaces this executable with it."""
