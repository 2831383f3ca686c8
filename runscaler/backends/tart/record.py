"""The record of a VM: in an intent file before the VM exists, in the VM's directory afterwards.

`runscaler.json` in the VM's directory is deleted with the VM and not copied by a clone (docs/tart.md § 14).
It never contains a secret.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from runscaler.backends.base import Ending, Place, Resource, ResourceState, WarmResource
from runscaler.backends.marks import (
    IdMark,
    NameMark,
    PidMark,
    RunnerMark,
    SlotMark,
    TimeMark,
    UnreadableResources,
    UrlMark,
)
from runscaler.files import replace_file
from runscaler.names import OwnerId, RunnerName, ScaleSetKey, SlotNumber
from runscaler.private_files import read_private

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.backends.tart.vm import Vm

VM_NAME = re.compile(r"^(runner|pool)-[0-9a-f]{8}\Z")
RECORD_FILE = "runscaler.json"
MOST_BYTES = 64 * 1024
LONGEST_PATH = 4096
_UNREADABLE = UnreadableResources()


def _checked_path(path: str) -> str:
    if not path.startswith("/") or "\0" in path or len(path) > LONGEST_PATH:
        raise ValueError("it is no absolute path")
    return path


_PathMark = Annotated[str, AfterValidator(_checked_path)]


class Phase(StrEnum):
    """How far a VM is. A crash between `pooled` and `running` leaves unknown whether its runner started."""

    CLONED = "cloned"
    BOOTING = "booting"
    POOLED = "pooled"
    INJECTING = "injecting"
    RUNNING = "running"
    REMOVING = "removing"


class VmRecord(BaseModel):
    """Who owns a VM and what it is for. `guest_pid` is the runner's pid in the guest."""

    model_config = ConfigDict(frozen=True)

    version: int = 1
    owner: NameMark
    home: _PathMark
    name: str
    url: UrlMark = ""
    group: NameMark = ""
    scale_set: NameMark = ""
    slot: SlotMark = 0
    host_slot: SlotMark | None = None
    mac: NameMark = ""
    image: str = ""
    image_fqn: str = ""
    kind: str = ""
    runner_name: RunnerMark = ""
    runner_id: IdMark = 0
    guest_pid: PidMark = 0
    phase: Phase = Phase.CLONED
    created: TimeMark = 0.0
    ready_at: TimeMark = 0.0
    ending: Ending | None = None

    @property
    def place(self) -> Place:
        return Place(self.host_slot, self.mac)

    @property
    def is_warm(self) -> bool:
        """It was made for the warm pool and has no runner yet."""
        return not self.runner_name

    def with_phase(self, phase: Phase, **others: object) -> VmRecord:
        return self.model_copy(update={"phase": phase, **others})

    def resource(self, ending: Ending | None) -> Resource:
        return Resource(
            id=self.name,
            owner=OwnerId(self.owner),
            key=ScaleSetKey(self.url, self.group, self.scale_set),
            slot=SlotNumber(self.slot),
            runner=RunnerName(self.runner_name),
            runner_id=self.runner_id,
            created_at=self.created,
            state=ResourceState.ENDED if ending else ResourceState.RUNNING,
            ending=ending,
            place=self.place,
        )

    def warm(self) -> WarmResource:
        return WarmResource(self.name, self.kind, Place(self.host_slot, self.mac, self.name), self.ready_at)


def write_record(vm: Vm, record: VmRecord) -> None:
    """Raises OSError. Does not recreate the directory of a deleted VM."""
    replace_file(vm.path / RECORD_FILE, record.model_dump_json().encode())


def read_record(path: Path) -> VmRecord | None:
    """None if there is none that can be read."""
    try:
        return VmRecord.model_validate_json(read_private(path, MOST_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        why = str(error) if isinstance(error, OSError) else "it is no record of ours"
        _UNREADABLE.warn([(str(path), why)])
        return None
