"""Fakes of `systemctl` and `launchctl` for tests: programs that start and stop real processes.

They answer with the texts and exit codes of the real ones, keep what they know in a folder, and refuse what
the real ones refuse. `world` makes a host out of them.
"""
