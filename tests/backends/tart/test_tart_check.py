from __future__ import annotations

import pytest
from support.tart import IMAGE, Reports, tart_settings

from runscaler.backends.base import BackendAvailable, BackendContext, BackendUnavailable
from runscaler.backends.tart import TartBackend
from runscaler.backends.tart.check import can_run_macos
from runscaler.backends.tart.version import TartVersion
from runscaler.clock import SystemClock
from runscaler.errors import BackendError
from runscaler.findings import Level
from runscaler.interrupt import Interrupt
from runscaler.testing.fake_tart_host import Rule


def found(backend, settings, level=Level.ERROR):
    return [finding for finding in backend.check(settings) if finding.level is level]


def test_a_usable_tart_is_reported_with_its_home(rig, backend):
    texts = [finding.message for finding in found(backend, rig.settings(), Level.OK)]

    assert texts[0] == f"tart 2.32.1+fake in {rig.tart.home}"


def test_a_fake_tart_is_reported_as_such(rig, backend):
    assert "fake" in found(backend, rig.settings(), Level.WARNING)[0].message


def test_a_missing_tart_is_an_error_that_says_how_to_install_it(rig, backend):
    """T1"""
    rig.environ["PATH"] = "/usr/bin:/bin"

    (error,) = found(backend, rig.settings())

    assert "not installed" in error.message
    assert "brew install" in error.fixes[0]


def test_a_tart_that_cannot_be_executed_is_an_error(rig, backend):
    """T1"""
    (rig.tart.bin / "tart").write_bytes(b"\xcf\xfa\xed\xfe no program of this machine")

    (error,) = found(backend, rig.settings())

    assert "cannot be executed" in error.message


def test_a_tart_that_is_killed_is_an_error(rig, backend):
    """T1"""
    rig.tart.rules(Rule("--version", do="kill"))

    (error,) = found(backend, rig.settings())

    assert "ended by signal 9" in error.message


def test_a_tart_that_vanishes_and_returns_is_reported(rig, quick):
    """T1"""
    settings, here = rig.settings(), rig.environ["PATH"]
    reports = Reports(quick)
    assert reports.nth(0) == BackendAvailable()

    rig.environ["PATH"] = "/usr/bin:/bin"
    down = reports.nth(1)
    rig.environ["PATH"] = here
    up = reports.nth(2)

    assert isinstance(down, BackendUnavailable)
    assert "brew install" in down.fixes[0]
    assert up == BackendAvailable()
    assert found(quick, settings) == []
    reports.stop()


@pytest.mark.parametrize("version", ["2.28.2", "1.99.9", "2.9"])
def test_an_old_tart_is_refused_with_both_version_numbers(rig, backend, version):
    """T2"""
    rig.tart.state(version=version)

    (error,) = found(backend, rig.settings())

    assert version in error.message
    assert "2.28.3" in error.message


@pytest.mark.parametrize(("version", "word"), [("2.30.5", "2.30.6"), ("SNAPSHOT", "cannot be read")])
def test_a_doubtful_version_is_a_warning(rig, backend, version, word):
    """T2"""
    rig.tart.state(version=version)

    warnings = found(backend, rig.settings(), Level.WARNING)

    assert any(word in warning.message and version in warning.message for warning in warnings)
    assert found(backend, rig.settings()) == []


def test_versions_are_compared_as_numbers():
    """T2"""
    assert TartVersion.of(b"2.100\n").numbers == (2, 100, 0)
    assert TartVersion.of(b"tart 2.28.3 (build 7)").numbers == (2, 28, 3)


def test_a_real_tart_on_another_machine_than_a_mac_is_refused(rig, backend):
    rig.wrap('[ "$1" = --version ] && { echo 2.32.1; exit 0; }')

    (error,) = found(backend, rig.settings())

    assert "Apple silicon" in error.message


@pytest.mark.parametrize(
    ("system", "kernel", "can"),
    [
        (
            "darwin",
            "Darwin Kernel Version 23.1.0: Mon Oct  9; root:xnu-10002.41.9~6/RELEASE_ARM64_T8103",
            True,
        ),
        ("darwin", "Darwin Kernel Version 23.1.0: Mon Oct  9; root:xnu-10002.41.9~6/RELEASE_X86_64", False),
        ("linux", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.0-1_ARM64", False),
    ],
)
def test_a_mac_is_recognised_by_its_kernel_even_under_rosetta(system, kernel, can):
    assert can_run_macos(system, kernel) is can


def test_a_missing_remote_image_is_a_warning_that_the_start_pulls_it(rig, backend):
    rig.tart.add_image(IMAGE, cached=False)

    assert found(backend, tart_settings()) == []
    assert any("the start pulls it" in one.message for one in found(backend, tart_settings(), Level.WARNING))
    assert rig.tart.calls("pull") == []


def test_a_missing_local_image_is_an_error(backend):
    (error,) = found(backend, tart_settings("no-such-vm"))

    assert "no local VM no-such-vm" in error.message


def test_a_suspended_image_is_refused(rig, backend):
    rig.tart.add_image(IMAGE)
    rig.tart.call("clone", IMAGE, "base", check=True)
    (rig.tart.vm_path("base") / "state.vzvmsave").touch()

    (error,) = found(backend, tart_settings("base"))

    assert "suspended" in error.message


@pytest.mark.parametrize(("tart", "word"), [({"cpu": 1}, "2 cores"), ({"memory": 1024}, "4096 MB")])
def test_a_size_below_the_images_minimum_is_an_error(rig, backend, tart, word):
    """T11: before anything is started."""
    (error,) = found(backend, rig.settings(**tart))

    assert word in error.message


def test_exhausted_dhcp_leases_are_a_warning(rig, backend, folder, said):
    """T37: a guest without an address is ready but never appears at GitHub; this is where it shows."""
    lease = "{{\n\tname=x\n\tip_address=192.168.64.{}\n\thw_address=1,2:0:0:0:0:1\n\tlease=0x{:x}\n}}\n"
    now = int(SystemClock().wall())
    leases = [lease.format(number, now + 3600) for number in range(2, 240)]
    (folder / "leases").write_text("".join(leases))

    (warning,) = [one for one in found(backend, rig.settings(), Level.WARNING) if "DHCP" in one.message]
    prepare(backend, rig.settings())
    (folder / "leases").write_text("".join(lease.format(number, now - 1) for number in range(2, 240)))

    assert "238 of about 253" in warning.message
    assert any("238 of about 253 DHCP leases" in line for line in said if line.startswith("WARNING"))
    assert "dhcpd_leases" in warning.fixes[0] or "sudo rm" in warning.fixes[0]
    assert not any("DHCP" in one.message for one in found(backend, rig.settings(), Level.WARNING))


def test_a_backend_without_a_state_directory_works_too(rig):
    context = BackendContext("0" * 32, None, SystemClock())
    backend = TartBackend(context, environ=rig.environ)

    assert backend.inventory() == []
    backend.close()


def test_findings_name_their_scale_set(rig, backend):
    settings = rig.settings()

    assert {finding.scale_set for finding in backend.check(settings)} == {settings.name}


def prepare(backend, settings):
    backend.prepare(settings, lambda *_: None, Interrupt())


def test_a_daemon_warns_once_that_its_tart_is_a_fake(rig, backend, said):
    settings = rig.settings()

    prepare(backend, settings)
    prepare(backend, settings)

    assert len([line for line in said if line.startswith("WARNING this is a fake tart")]) == 1


def test_a_daemon_refuses_an_unusable_tart(rig, backend):
    """T2"""
    rig.tart.state(version="2.28.2")

    with pytest.raises(BackendError, match=r"2\.28\.2\S* is too old: 2\.28\.3 is needed") as caught:
        prepare(backend, rig.settings())

    assert "brew upgrade" in caught.value.fixes[0]


def test_a_daemon_makes_no_vms_of_a_size_that_the_image_refuses(rig, backend):
    """T11: instead of cloning again and again only to be refused the size."""
    with pytest.raises(BackendError, match="less than the 2 cores") as caught:
        prepare(backend, rig.settings(cpu=1))

    assert "set cpu = 2" in caught.value.fixes[0]
