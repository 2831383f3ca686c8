"""Deletes old files in the shared volume (docs/behaviour.md § 7.1).

A container of the runner image does it, with `find`, as only that sees the volume of a remote engine. What
the shell in it runs is always the same text, and no name of a file reaches it or its output.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

from runscaler.backends.base import Sweep, SweepResult, SweepTarget
from runscaler.backends.docker import answers
from runscaler.backends.docker.api import seconds_of
from runscaler.backends.docker.container import SHARED_VOLUME, shared_volume_mount
from runscaler.backends.docker.containers import discard, helper_called
from runscaler.backends.docker.errors import CONFLICT, explanation, lacks_program, status
from runscaler.backends.docker.labels import helper_labels
from runscaler.config.housekeeping import common_ttl
from runscaler.errors import BackendError, ImageMissing
from runscaler.units import format_bytes
from runscaler.untrusted import in_one_line, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.backends.base import BackendContext
    from runscaler.backends.docker.api import EngineApi
    from runscaler.backends.docker.engine import Engine
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt

NAME = "runner-shared-sweep"
"""Of the container: the same for all daemons, so that one sweep runs at a time, and the next one finds what a
killed daemon left."""
ROOT = "/runner-shared"
MOST_SECONDS = 1800.0
CALL_SECONDS = 60.0
"""For what does not wait for the end of the sweep: an engine that hangs is not waited for that long."""
UNDO_SECONDS = 5.0
NO_TOOL = 127
BLOCK = 512
SCRIPT = """
root=$1 age=$2 doing=$3
export LC_ALL=C
for tool in find stat tr wc rm rmdir; do
  command -v $tool > /dev/null || { echo no $tool; exit 127; }
done
find "$root" -xdev -depth -mindepth 1 -maxdepth 0 ! -mmin "-$age" -print0 ||
  { echo no find with -mmin; exit 127; }
count() {
  find "$root" -xdev -mindepth 1 ! -type d ! -mmin "-$age" -exec stat -c %b {} + 2> /dev/null | {
    files=0 blocks=0
    while read -r size; do files=$((files + 1)) blocks=$((blocks + size)); done
    echo "$1 $files $blocks"
  }
}
remove() {
  if find "$root" -mindepth 1 -maxdepth 0 -empty -delete 2> /dev/null; then
    find "$root" -xdev -depth -mindepth 1 ! -mmin "-$age" \\( ! -type d -o -empty \\) -delete -type d -print0
  else
    find "$root" -xdev -depth -mindepth 1 ! -mmin "-$age" \\
      \\( ! -type d -exec rm -f -- {} \\; -o -type d -exec rmdir -- {} \\; -print0 \\)
  fi 2> /dev/null
}
count before
[ "$doing" = delete ] || {
  empty() { find "$root" -xdev -mindepth 1 -type d ! -mmin "-$age" -empty -print0 2> /dev/null; }
  echo "folders $(empty | tr -dc '\\000' | wc -c | tr -dc 0-9) 0"
  exit 0
}
echo "folders $(remove | tr -dc '\\000' | wc -c | tr -dc 0-9) 0"
count after
"""
"""`-depth` looks at a directory before what is in it is deleted, which makes it new. Not every find has
-delete. `! -mmin -N` is exact everywhere, while `-mmin +N` of busybox begins a minute later."""
ANSWER = re.compile(rb"^(before|folders|after) ([0-9]{1,18}) ([0-9]{1,18})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a run in the container said: files older than the TTL and their bytes before and after it, and
    how many directories it removed. A look tells those that are empty already, not those that would be."""

    files: int
    bytes: int
    folders: int = 0
    files_left: int = 0
    bytes_left: int = 0

    @property
    def removed(self) -> int:
        """Files, without directories."""
        return max(0, self.files - self.files_left)

    @property
    def freed(self) -> int:
        return max(0, self.bytes - self.bytes_left)

    @property
    def line(self) -> str:
        parts = [_counted(self.removed, "file"), _counted(self.folders, "empty folder")]
        if not any(parts) and not self.files_left:
            return ""
        text = f"removed {' and '.join(filter(None, parts)) or 'nothing'}"
        text += f", {format_bytes(self.freed)}" if self.removed else ""
        if not self.files_left:
            return text
        return f"{text}; {_counted(self.files_left, 'file')} could not be removed"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}" if count else ""


def sweeps_for(
    sets: Sequence[ScaleSetSettings], engine: Engine, context: BackendContext, interrupt: Interrupt
) -> list[Sweep]:
    """One, or none if a scale set that uses the volume wants its files kept."""
    users = [one for one in sets if one.docker.shared_volume]
    ttl = common_ttl(users)
    if not ttl:
        return []
    sweep = SharedVolumeSweep(engine, context, users, ttl, interrupt)
    interval = min(one.docker.shared_volume_cleanup_interval for one in users)
    return [Sweep("the sweep of the shared volume", interval, sweep.run, sweep.plan, "shared_volume")]


class SharedVolumeSweep:
    """For the scale sets `users` of one engine. `ttl` in seconds counts in whole minutes, rounded up."""

    def __init__(
        self,
        engine: Engine,
        context: BackendContext,
        users: Sequence[ScaleSetSettings],
        ttl: float,
        interrupt: Interrupt,
    ) -> None:
        self._engine = engine
        self._context = context
        self._images = dict.fromkeys((one.runner_image, one.docker.platform) for one in users)
        self._minutes = math.ceil(ttl / 60)
        self._interrupt = interrupt

    def plan(self) -> list[SweepTarget]:
        swept = self._in_container("look")
        if swept is None:
            return []
        found = (("files", swept.files, swept.bytes), ("empty folders", swept.folders, None))
        return [SweepTarget(kind, f"{n} in volume {SHARED_VOLUME}", size) for kind, n, size in found if n]

    def run(self) -> SweepResult:
        swept = self._in_container("delete")
        if swept is None:
            return SweepResult()
        return SweepResult(swept.line, swept.removed + swept.folders, swept.freed)

    def _in_container(self, doing: str) -> Swept | None:
        """None if there is no such volume. Raises `ImageMissing` if none of the images is on the engine."""
        *others, last = self._images
        for image, platform in others:
            with suppress(ImageMissing):
                return self._run(image, platform, doing)
        return self._run(*last, doing)

    def _run(self, image: str, platform: str, doing: str) -> Swept | None:
        what, container = f"sweep volume {SHARED_VOLUME} with image {image}", ""
        try:
            with self._engine.call(what, self._interrupt, seconds=CALL_SECONDS) as api:
                if not _volume_exists(api):
                    return None
                container = self._create(api, self._body(image, doing), platform or None)
                self._start(api, container, what)
            with self._engine.call(what, self._interrupt, seconds=MOST_SECONDS) as api:
                code = _exit_code(api.wait(container))
            with self._engine.call(what, self._interrupt, seconds=CALL_SECONDS) as api:
                output = b"".join(api.logs(container, stream=True, follow=False, tail=10))
        finally:
            if container:  # also if the call was cut: then the container may still run
                with suppress(BackendError), self._engine.call(what, seconds=UNDO_SECONDS) as api:
                    discard(api, container)
        return _result(code, output, f"cannot {what}")

    def _create(self, api: EngineApi, body: dict[str, object], platform: str | None) -> str:
        try:
            created = api.create_container_from_config(body, NAME, platform)
        except APIError as error:
            if status(error) != CONFLICT:
                raise
            self._discard_earlier(api)
            created = api.create_container_from_config(body, NAME, platform)
        return answers.identifier(created["Id"], "the id of a new container")

    def _start(self, api: EngineApi, container: str, doing: str) -> None:
        try:
            api.start(container)
        except APIError as error:
            if not lacks_program(error):
                raise
            raise BackendError(f"cannot {doing}: {in_one_line(explanation(error))}", fixes=FIXES) from error

    def _discard_earlier(self, api: EngineApi) -> None:
        if (earlier := helper_called(api, NAME)) is None:
            return
        state = answers.table(earlier["State"], "the state of a container")
        age = self._context.clock.wall() - seconds_of(str(state.get("StartedAt", "")))
        if state.get("Running") and age < MOST_SECONDS:
            raise BackendError(f"container {NAME} is at it already")
        discard(api, answers.identifier(earlier["Id"], "the id of a container"))

    def _body(self, image: str, doing: str) -> dict[str, object]:
        mount = {**shared_volume_mount(ROOT), "ReadOnly": doing != "delete"}
        return {
            "Image": image,
            "User": "0",
            "Entrypoint": ["sh"],
            "Cmd": ["-c", SCRIPT, NAME, ROOT, str(self._minutes), doing],
            "Labels": helper_labels("sweep", self._context),
            "HostConfig": {
                "Mounts": [mount],
                "NetworkMode": "none",
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "CapAdd": ["DAC_OVERRIDE", "FOWNER"],
                "SecurityOpt": ["no-new-privileges"],
                "LogConfig": {"Type": "json-file"},
            },
        }


def _volume_exists(api: EngineApi) -> bool:
    try:
        api.inspect_volume(SHARED_VOLUME)
    except NotFound:
        return False
    return True


def _exit_code(answer: object) -> int | None:
    return answers.exit_code(answers.table(answer, "the end of a container").get("StatusCode"))


def _result(code: int | None, output: bytes, failed: str) -> Swept:
    """Raises `BackendError` if the container did not do it all."""
    if code == NO_TOOL:
        raise BackendError(
            f"{failed}: the image has {in_one_line(output.decode(errors='replace'), 60)}", fixes=FIXES
        )
    told = {
        what: (whole_number(count), whole_number(blocks)) for what, count, blocks in ANSWER.findall(output)
    }
    files, blocks = told.get(b"before", (None, None))
    if code or files is None or blocks is None:
        said = in_one_line(output.decode(errors="replace"))
        raise BackendError(f"{failed}: exit code {code}: {said or 'no output'}", fixes=FIXES)
    folders = told.get(b"folders", (0, 0))[0] or 0
    left, left_blocks = told.get(b"after", (0, 0))
    return Swept(files, blocks * BLOCK, folders, left or 0, (left_blocks or 0) * BLOCK)


FIXES = (
    "use a runner image with sh, find (with -mmin), stat, tr, wc, rm and rmdir, as GitHub's own has",
    "set [docker] shared-volume-ttl = 0 to keep the files",
)
