"""A fake `tart` (docs/tart.md § 16): the same commands, texts, exit codes, files and locks, without a Mac.

It is a program of its own: it uses the standard library only, none of our other modules, and is imported by
none of them. `runscaler.testing.fake_tart_host.FakeTart` puts it on PATH as `tart`. It keeps its VMs in
TART_HOME as the real one does. A VM's "guest" is a process tree of this host that lives in
`vms/NAME/guest/` and dies with `tart run`.

    FAKE_TART_HOST     a folder for what all TART_HOMEs of a host share: limit, leases, registry, journal
    FAKE_TART_KNOBS    a JSON file, read by every call: latencies, failures, state (class Knobs)

`run` consists of three kinds of process: the command itself holds the locks and takes the signals; its child
is the guest, which ends everything in it when the command is gone, also after a SIGKILL; a child of that
serves each connection to the guest agent. The program must start fast: it imports little, and late what is
slow.
"""
