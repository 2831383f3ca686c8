"""A fake `tart` (docs/tart.md § 16): the same commands, texts, exit codes, files and locks, without a Mac.

It stands alone: standard library only, nothing else of ours, imported by nobody. Put on PATH as `tart`
(which `runscaler.testing.fake_tart_host.FakeTart` does) it keeps its VMs in TART_HOME as the real one
does; a VM's "guest" is a process tree of this host that lives in `vms/NAME/guest/` and dies with
`tart run`.

    FAKE_TART_HOST     what all TART_HOMEs of one pretended host share: limit, leases, registry, journal
    FAKE_TART_KNOBS    a JSON file, read at every call: latencies, failures, state (class Knobs)

`run` is three kinds of process: the command itself holds the locks and takes the signals; its child is
the guest, which ends everything in it when the command is gone, also by SIGKILL; a child of that serves
each connection to the guest agent. Imports are few, and late where they are slow: it must start fast.
"""
