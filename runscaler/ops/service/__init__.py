"""The daemon as a supervised service, with one interface for systemd and launchd (docs/behaviour.md § 14.3).

`unit` and `plist` are pure: settings in, text out. `systemd` and `launchd` write files and run commands,
`install` and `migrate` use them through `manager.ServiceManager`.
"""
