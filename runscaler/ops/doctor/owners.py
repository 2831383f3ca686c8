"""Which daemons live. Taking the lock of a state directory is the proof that its daemon does not."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from runscaler.errors import HostError
from runscaler.ops.doctor.verdicts import Owner, OwnerState
from runscaler.ops.lock import StateLock, is_held
from runscaler.ops.owner import read_owner
from runscaler.ops.state_path import state_directories
from runscaler.private_files import NotPrivate, check_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.names import OwnerId

    State = tuple[OwnerState, str]


class Owners:
    """Knows the state directories of this host, and those that marks name. Close it.

    With `hold` the locks of dead daemons are held until then, so that none of them starts meanwhile.
    """

    def __init__(self, state_dirs: Sequence[Path], *, hold: bool) -> None:
        self._hold = hold
        self._locks = ExitStack()
        self._states: dict[Path, State] = {}
        self._known: dict[OwnerId, list[Path]] = {}
        for path in state_dirs:
            if (owner := read_owner(path)) is not None:
                self._known.setdefault(owner, []).append(_resolved(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._locks.close()

    def known(self) -> list[Owner]:
        """Those of this host's state directories."""
        return [self.owner(one, "") for one in self._known]

    def dead_directories(self) -> list[Path]:
        """Of those that were looked at so far, sorted."""
        return sorted(path for path, (state, _) in self._states.items() if state is OwnerState.DEAD)

    def owner(self, owner: OwnerId, state_dir: str) -> Owner:
        """`state_dir` is what a mark says, or "". A living daemon counts wherever it is found; otherwise the
        mark's directory decides."""
        known = self._known.get(owner, [])
        paths = [_resolved(Path(state_dir))] if state_dir else []
        examined = [(path, *self._examined(path, owner)) for path in dict.fromkeys([*paths, *known])]
        for path, state, reason in examined:
            if state is OwnerState.LIVE:
                return Owner(owner, state, reason, str(path))
        for path, state, reason in examined:
            return Owner(owner, state, reason, str(path))
        return Owner(owner, OwnerState.UNKNOWN, "nothing says where its state directory is")

    def _examined(self, path: Path, owner: OwnerId) -> State:
        problem = _problem_of(path)
        if problem:
            return OwnerState.UNKNOWN, problem
        if read_owner(path) != owner:
            return OwnerState.UNKNOWN, f"its state directory {path} is not its own, or not any more"
        if path not in self._states:
            self._states[path] = self._lock_state(path)
        return self._states[path]

    def _lock_state(self, path: Path) -> State:
        try:
            is_live = not self._acquired(path) if self._hold else is_held(path)
        except OSError as error:
            reason = f"the lock of its state directory {path} cannot be looked at: {error.strerror or error}"
            return OwnerState.UNKNOWN, reason
        if is_live:
            return OwnerState.LIVE, f"its daemon lives, with its state in {path}"
        return OwnerState.DEAD, f"its daemon is dead: nobody holds the lock of {path}"

    def _acquired(self, path: Path) -> bool:
        lock = StateLock(path)
        try:
            lock.acquire()
        except HostError:
            return False
        self._locks.callback(lock.release)
        return True


def is_dead(owner: OwnerId, state_dir: str) -> bool:
    """See `BackendContext`. As of now: nothing keeps that daemon from being started the next moment."""
    with Owners(state_directories(), hold=False) as owners:
        return owners.owner(owner, state_dir).state is OwnerState.DEAD


def _resolved(path: Path) -> Path:
    """One path for each directory, so that we never meet a lock of our own."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links
        return path


def _problem_of(path: Path) -> str:
    """Why the directory tells nothing; "" if it may be looked at.

    A lock file that we made in another user's directory would keep that user's daemon from starting, and
    where others may write, a lock proves nothing.
    """
    try:
        check_tree(path)
    except NotPrivate as error:
        return f"its state directory tells nothing: {error}"
    except OSError as error:
        return f"its state directory {path} cannot be seen from here: {error.strerror or error}"
    return ""
