"""GitHub in memory: the calls of `github.base.ScaleSetService` without HTTP, threads or timers.

    github = MemoryGitHub(clock)
    service = github.connect(settings)          # what an actor is given
    github.queue("my-runners", 3)               # jobs
    job = github.runner_online(runner_id)       # an agent connects ...
    github.start_job(runner_id)                 # ... begins its job ...
    github.finish_job(runner_id, "succeeded")   # ... and is done

The semantics are docs/protocol.md § 9.3, flavour A. No timer runs by itself: what time would do (a lost lease, a
withdrawn assignment, an expired session) is a method that the test calls. All methods may be called from
any thread; `on_job` is called on the thread whose call gave the job away, with no lock held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.testing.memory_records import MemoryJob
from runscaler.testing.memory_service import MemoryService
from runscaler.testing.memory_world import MemoryWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.errors import GitHubError
    from runscaler.github.base import ScaleSetService, Trouble, TroubleReport
    from runscaler.github.messages import JobEvent, Statistics


class MemoryGitHub(MemoryWorld):
    """One GitHub for any number of scale sets and organisations.

    `blocking=False` is for tests without threads: an empty poll returns None at once instead of waiting
    up to `poll_seconds` (real ones). `latency` seconds pass on the clock in every call but polls.
    """

    def __init__(
        self, clock: Clock, *, blocking: bool = True, poll_seconds: float = 50.0, latency: float = 0.0
    ) -> None:
        super().__init__(clock, blocking=blocking, poll_seconds=poll_seconds, latency=latency)
        self._reports: dict[str, TroubleReport] = {}

    def connect(self, settings: ScaleSetSettings, report: TroubleReport | None = None) -> ScaleSetService:
        """What `github.client.connect` returns, for this GitHub."""
        if report is not None:
            self._reports[settings.name.lower()] = report
        return MemoryService(self, settings.url.strip("/").lower())

    # Jobs

    def queue(self, set_name: str, count: int = 1) -> list[MemoryJob]:
        """Queue jobs for that scale set; they wait for it if it is not there yet."""
        with self.lock:
            made = [MemoryJob(f"job-{self.number()}", self.clock.wall()) for _ in range(count)]
            scale_set = self.scale_set(set_name)
            if scale_set is None:
                self.unclaimed[set_name.lower()].extend(made)
                return made
            scale_set.queued.update((job.id, job) for job in made)
        self.settle(scale_set)
        return made

    def cancel(self, set_name: str, job: MemoryJob) -> None:
        """Cancel a job that no runner has yet."""
        with self.changing(set_name) as scale_set:
            scale_set.cancel(job, self.clock.wall())

    def withdraw(self, set_name: str, job: MemoryJob) -> None:
        """Take an assignment back that no runner picked up; the job is queued again (fault F83)."""
        with self.changing(set_name) as scale_set:
            scale_set.withdraw(job, self.clock.wall())

    # The agent of a runner

    def runner_online(
        self, runner_id: int, on_job: Callable[[MemoryJob], None] | None = None
    ) -> MemoryJob | None:
        """An agent connects: the job it gets at once, or None; then `on_job` is called when one comes.

        Raises `LookupError` when the registration is gone.
        """
        with self.lock:
            runner, scale_set = self.registration(runner_id)
            scale_set.online(runner)
            given = scale_set.settle(self.clock.wall())
            runner.on_job = on_job
            job = runner.job
            scale_set.news.notify_all()
        self.hand_out(other for other in given if other is not runner)
        return job

    def start_job(self, runner_id: int) -> None:
        """The agent begins the job it was given: JobStarted."""
        with self.lock:
            runner, scale_set = self.registration(runner_id)
            scale_set.started(runner)
            scale_set.news.notify_all()

    def finish_job(self, runner_id: int, result: str = "succeeded") -> None:
        """The job is over (JobCompleted) and the registration gone."""
        with self.lock:
            runner, scale_set = self.registration(runner_id)
            scale_set.finished(runner, result, self.clock.wall())
            self.forget(runner)
        self.settle(scale_set)

    def runner_gone(self, runner_id: int) -> None:
        """The agent has vanished: offline; with a running job it counts as busy until `lease_over`."""
        with self.lock:
            if runner_id not in self.runners:
                return
            runner, scale_set = self.registration(runner_id)
            scale_set.vanished(runner)
            runner.on_job = None
        self.settle(scale_set)

    def lease_over(self, runner_id: int) -> None:
        """GitHub gives up the job of a runner that vanished: it has failed, the registration goes."""
        if runner_id in self.runners:
            self.finish_job(runner_id, "failed")

    # What else happens at GitHub

    def hold_session(self, set_name: str) -> None:
        """Another listener takes the scale set: ours is over, and opening one is a conflict."""
        with self.changing(set_name) as scale_set:
            scale_set.session = self.new_session("somebody-else")

    def end_session(self, set_name: str) -> None:
        """The session is over, whoever holds it."""
        with self.changing(set_name) as scale_set:
            scale_set.session = None

    def expire_queue_token(self, set_name: str) -> None:
        with self.changing(set_name) as scale_set:
            if scale_set.session is not None:
                scale_set.session.token_expired = True

    def delete_scale_set(self, set_name: str) -> None:
        """Somebody deletes it (fault F58); its jobs wait for another of that name."""
        with self.changing(set_name) as scale_set:
            self.drop(scale_set)

    def change_scale_set(
        self, set_name: str, *, name: str = "", group_id: int = 0, labels: tuple[str, ...] = ()
    ) -> None:
        """Somebody changes it by hand (fault F59); what is empty stays."""
        with self.changing(set_name) as scale_set:
            scale_set.name = name or scale_set.name
            scale_set.group_id = group_id or scale_set.group_id
            scale_set.labels = labels or scale_set.labels

    def restart_ids(self, set_name: str, first: int = 1) -> None:
        """From now on the ids of its batches count up from `first` again (fault F55)."""
        with self.changing(set_name) as scale_set:
            scale_set.last_batch_id = first - 1

    def deregister(self, runner_id: int) -> None:
        """Somebody removes a registration (faults F78, F79), busy or not."""
        with self.lock:
            runner, _ = self.registration(runner_id)
            self.remove_runner(runner)

    def say(self, set_name: str, *events: JobEvent, problems: tuple[str, ...] = ()) -> None:
        """Put messages of the test's own making into the queue."""
        with self.changing(set_name) as scale_set:
            scale_set.events.extend(events)
            scale_set.problems += problems

    def say_again(self, set_name: str) -> None:
        """Repeat the job messages of all batches not yet acknowledged, under a new id (fault F42)."""
        with self.changing(set_name) as scale_set:
            for batch in scale_set.undeleted.values():
                scale_set.events.extend(batch.events)

    def believe(self, set_name: str, statistics: Statistics | None) -> None:
        """Make the counts of that set lie (faults F66 to F70); None: the truth again."""
        with self.changing(set_name) as scale_set:
            scale_set.believed = statistics

    def fail_next(self, call: str, error: GitHubError, times: int = 1, *, after: bool = False) -> None:
        """The next calls of that method of `ScaleSetService` raise; `after`: once they took effect."""
        with self.lock:
            self.failures[call].extend([(error, after)] * times)

    def report(self, set_name: str, trouble: Trouble | None) -> None:
        """Tell whoever connected that scale set of trouble, as a call that is being retried would."""
        self._reports[set_name.lower()](trouble)
