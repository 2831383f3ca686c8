from __future__ import annotations

import json

import pytest
from support.tart import OWNER, QUICK, order_of

from runscaler.backends.leftovers import NOBODY, Kind
from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.survey import TartSurvey
from runscaler.clock import SystemClock
from runscaler.interrupt import Interrupt
from runscaler.testing.fake_tart_host import IMAGE


@pytest.fixture
def survey(rig):
    rig.tart.add_image(IMAGE, {})

    def made(*state_dirs):
        home = TartHome.at(str(rig.tart.home))
        return TartSurvey(
            [home], state_dirs, SystemClock(), timings=QUICK, slots=rig.slots, environ=rig.environ
        )

    return made


def clone(rig, *names):
    for name in names:
        rig.tart.call("clone", IMAGE, name, check=True)


def owners(survey):
    return {one.name: one.owner for one in survey.leftovers() if one.kind is Kind.VM}


def test_vms_of_the_go_tool_are_known_by_their_names_alone(rig, survey):
    clone(rig, "runner-0123abcd", "pool-2-1700000000000", "pool-2-17", "runner-0123abc", "sequoia")

    assert owners(survey()) == {"runner-0123abcd": NOBODY, "pool-2-1700000000000": NOBODY}


def test_a_fresh_clone_without_a_record_is_its_owners_by_the_intent_file(rig, survey):
    """Without the intent file it would look like the Go tool's."""
    clone(rig, "runner-0123abcd")
    intents = rig.state_dir / "tart" / OWNER
    intents.mkdir(parents=True)
    intent = {"owner": OWNER, "home": str(rig.tart.home), "name": "runner-0123abcd"}
    (intents / "runner-0123abcd.json").write_text(json.dumps(intent))

    assert owners(survey(rig.state_dir)) == {"runner-0123abcd": OWNER}


@pytest.mark.parametrize("record", ["{}", "no record", '{"owner": "x", "home": "/", "name": "y"}'])
def test_a_vm_with_a_record_that_cannot_be_read_is_nobodys(rig, survey, record):
    clone(rig, "runner-0123abcd")
    (rig.tart.vm_path("runner-0123abcd") / "runscaler.json").write_text(record)

    assert owners(survey()) == {}


def test_a_runners_vm_is_found_looked_into_and_removed_without_its_daemon(rig, survey, backend):
    backend.start(order_of(rig, place=backend.claim_place(2)), Interrupt())
    backend.close()
    looked = survey(rig.state_dir)
    (vm,) = looked.leftovers()

    assert (vm.owner, vm.state_dir, vm.runner != "") == (OWNER, str(rig.state_dir), True)
    assert looked.runs_a_job(vm, Interrupt()) is False
    looked.remove(vm, Interrupt())
    assert rig.leftovers() == []
    looked.remove(vm, Interrupt())


def test_a_vm_of_the_go_tool_that_runs_is_removed(rig, survey):
    clone(rig, "runner-0123abcd")
    looked = survey()
    (vm,) = looked.leftovers()

    looked.remove(vm, Interrupt())
    assert rig.tart.vms() == []
