from __future__ import annotations

import errno

from runscaler.backends.tart.cli import Output
from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.output_errors import command_error, file_error
from runscaler.errors import ImageMissing


def test_a_disk_that_is_full_for_our_own_files_is_reported_with_its_free_space(folder):
    """T8: the VM's record."""
    full = OSError(errno.ENOSPC, "No space left on device")

    error = file_error("write the record of VM runner-12345678", full, TartHome(folder))

    assert "disk is full (" in str(error)


def test_an_unknown_error_text_is_passed_on():
    error = command_error("do it", Output(1, b"", b"Error: Something(new)\nwith lines\n"))

    assert str(error) == "cannot do it: Error: Something(new) with lines"


def test_a_registry_is_blamed_only_if_it_was_asked():
    output = Output(1, b"", b"Error: the request timed out\n")

    assert not isinstance(command_error("start the runner", output), ImageMissing)
    assert isinstance(command_error("pull image x", output, registry=True), ImageMissing)
