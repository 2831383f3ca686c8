"""What is fuzzed: each target takes bytes, and raises only what is no error of the project's own."""

from __future__ import annotations

import io
import math
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fuzzing import engine, http_server, inputs
from runscaler.backends.docker.credential_helper import _login
from runscaler.backends.docker.labels import resource_of
from runscaler.backends.marks import HIGHEST_SLOT, RUNNER, UnreadableMarks
from runscaler.backends.process.runner_directory import MARKS, RunnerDirectory
from runscaler.backends.tart import guest as tart_guest
from runscaler.backends.tart.cli import Output
from runscaler.backends.tart.guest import Guest, runner_exit_code
from runscaler.backends.tart.images import _names_in
from runscaler.backends.tart.record import read_record
from runscaler.backends.tart.slot_locks import SlotHolder, SlotLocks
from runscaler.backends.tart.timings import Timings
from runscaler.backends.tart.version import TartVersion
from runscaler.backends.tart.vm import Vm
from runscaler.cli.status_page import fitted_page, page
from runscaler.config.load import load_config
from runscaler.config.secrets import Secret, Unresolved, resolve
from runscaler.config.sources import Locations
from runscaler.config.urls import InvalidUrl, parse_config_url
from runscaler.errors import ConfigError, RunscalerError
from runscaler.github import batches, decode
from runscaler.github.fields import parse_json as parse_wire
from runscaler.github.jwt import jwt_expiry
from runscaler.github.renames import names_in, names_of, renamed
from runscaler.github.token_expiry import HEADER, expiry_in
from runscaler.interrupt import Interrupt
from runscaler.names import RunnerName, ScaleSetKey
from runscaler.net.host_header import names_loopback
from runscaler.ops.lock import HOLDER, _in_use
from runscaler.ops.owner import OWNER, read_owner
from runscaler.ops.records import CreatedScaleSets, SavedSessions
from runscaler.units import format_bytes, format_duration, parse_duration, parse_size
from runscaler.untrusted import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

URL = "https://github.com/my-org"


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    run: Callable[[bytes], None]
    inputs: SearchStrategy[bytes]


def config(data: bytes) -> None:
    """And the checks of what was loaded."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_bytes(data)
        nowhere = Path(folder, "none")
        with suppress(ConfigError):
            load_config(
                path, environ={"HOME": folder}, locations=Locations(nowhere, nowhere, nowhere, nowhere)
            )


def token(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "token").write_bytes(data)
        with suppress(Unresolved):
            resolve("file:token", {}, Path(folder))


def units(data: bytes) -> None:
    text = data.decode(errors="replace")
    with suppress(ValueError):
        seconds = parse_duration(text)
        assert math.isfinite(seconds)
        format_duration(seconds)
    with suppress(ValueError):
        format_bytes(parse_size(text))


def labels(data: bytes) -> None:
    with suppress(ValueError):
        found = parse_json(data)
        if isinstance(found, dict):
            _check_resource(found)


def _check_resource(found: dict[str, object]) -> None:
    try:
        resource = resource_of("id", 1.0, found)
    except UnreadableMarks as error:
        if len(str(error)) > 200:
            raise AssertionError("it is logged: too long") from error
        return
    if resource is not None:
        assert RUNNER.match(resource.runner)
        assert 0 <= resource.slot <= HIGHEST_SLOT
        assert 0 <= resource.runner_id < 2**63


def engine_answers(data: bytes) -> None:
    with suppress(ValueError):
        engine.feed(parse_json(data))


def credential_helper(data: bytes) -> None:
    with suppress(ValueError):
        login = _login(data, "r")
        assert login is None or all(isinstance(one, str) for one in login.values())


def engine_events(data: bytes) -> None:
    with suppress(ValueError):
        engine.follow(parse_json(data))


class _Printing:
    """A tart whose every command prints `out`."""

    def __init__(self, out: bytes) -> None:
        self._output = Output(0, out, b"")

    def call(self, *_arguments: str, **_options: object) -> Output:
        return self._output


def guest_output(data: bytes) -> None:
    guest = Guest(_Printing(data), "runner-0011aabb", Timings())  # type: ignore[arg-type]
    code = runner_exit_code(data)
    assert code is None or 0 <= code <= tart_guest.HIGHEST_EXIT_CODE
    calls: tuple[Callable[[], object], ...] = (
        lambda: guest.runner_state(7),
        lambda: guest.runs_a_job(Interrupt()),
        lambda: guest.start_runner("/r", Secret("jit"), Interrupt()),
        lambda: guest.log_tail(10, Interrupt()),
        lambda: TartVersion.of(data),
        lambda: _names_in(Output(0, data, b"")),
    )
    for call in calls:
        with suppress(RunscalerError):
            call()


def state_files(data: bytes) -> None:
    """The same content in every file that we read back."""
    key = ScaleSetKey.of(URL, "default", "linux")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sessions, created = SavedSessions(folder / "sessions"), CreatedScaleSets(folder / "created")
        runner = folder / "runner-0011aabb"
        slots = SlotLocks(folder / "slots")
        slots.claim(0, SlotHolder())
        files = (
            sessions._path(key),
            created._path(key),
            runner / MARKS,
            folder / OWNER,
            folder / HOLDER,
            folder / "record.json",
            folder / "vm" / "config.json",
            folder / "slots" / "slot-0.lock",
        )
        for file in files:
            file.parent.mkdir(exist_ok=True, mode=0o700)
            file.write_bytes(data)
        sessions.load(key)
        created.keys()
        created.load(key)
        RunnerDirectory(runner).marks()
        read_owner(folder)
        str(_in_use(folder))
        read_record(folder / "record.json")
        Vm(folder / "vm").mac()
        slots.taken()
        slots.close()


def wire(data: bytes) -> None:
    readers: tuple[Callable[..., object], ...] = (
        batches.batch,
        batches.job_event,
        decode.scale_set_if_any,
        decode.runner,
        decode.runners,
        decode.runner_groups,
        decode.scale_sets,
        decode.available_jobs,
        decode.acquired_jobs,
        lambda value: decode.jit_config(value, RunnerName("runner-0011aabb")),
    )
    for read in readers:
        with suppress(ValueError):
            read(parse_wire(data))
    with suppress(ValueError):
        renamed(parse_config_url("https://github.com/my-org"), names_of(parse_wire(data)))
    text = data.decode(errors="replace")
    jwt_expiry(text)
    expiry_in({HEADER: text})


def urls(data: bytes) -> None:
    """Config URLs, and the Host headers of requests."""
    text = data.decode(errors="replace")
    with suppress(InvalidUrl):
        found = parse_config_url(text)
        assert found.names
        assert all(found.names)
        assert found.hosted({}) in {True, False}
        _ = found.registration_path
    names_loopback(text)
    assert renamed(parse_config_url("https://github.com/my-org"), names_in(text)).host == "github.com"


def status(data: bytes) -> None:
    """What `runner status` shows of another program's answer."""
    with suppress(ValueError):
        answer = parse_json(data)
        if isinstance(answer, dict):
            Console(file=io.StringIO(), width=80).print(page(answer), fitted_page(answer, 80, 24))


_LABELS = {
    "managed-by": "runner",
    "io.runscaler.owner": engine.OWNER,
    "io.runscaler.url": URL,
    "io.runscaler.scale-set": "linux",
    "io.runscaler.runner-group": "default",
    "io.runscaler.slot": "3",
    "io.runscaler.runner": "runner-0011aabb",
    "io.runscaler.runner-id": "7",
}
_STATE = {
    "Running": False,
    "Status": "exited",
    "ExitCode": 3,
    "OOMKilled": False,
    "FinishedAt": "2026-01-01T00:00:00Z",
}
_CONTAINER = {"Id": "c1", "Labels": _LABELS, "Created": 12, "State": "exited"}
_ANSWER = {
    "State": _STATE,
    "Processes": [["1", "Runner.Worker"]],
    "Version": "27",
    "ApiVersion": "1.43",
    "Created": "2026-01-01T00:00:00Z",
    "Os": "linux",
    "Id": "c1",
    "CreatedAt": "x",
    "Labels": _LABELS,
}
_EVENT = {
    "Action": "die",
    "timeNano": 7_000_000_000,
    "Actor": {"ID": "c1", "Attributes": {**_LABELS, "exitCode": "3"}},
}
_STATE_FILE = {
    "scale_set_id": 7,
    "session_id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "url": URL,
    "group": "default",
    "name": "linux",
    "owner": engine.OWNER,
    "scale_set": "linux",
    "slot": 0,
    "runner": "runner-0011aabb",
    "created_at": 1.0,
    "pid": 7,
    "process_created": 1.0,
    "home": "/home/x/.tart",
    "host_slot": 1,
    "mac": "02:00:00:00:00:01",
    "vm": "x",
    "program": "runner run",
    "macAddress": "02:00:00:00:00:01",
    "ending": {"exit_code": 1, "signal": None, "out_of_memory": False, "at": 1.0},
}
_JOB = {
    "messageType": "JobStarted",
    "jobId": "1",
    "runnerRequestId": 7,
    "runnerId": 7,
    "runnerName": "runner-0011aabb",
    "requestLabels": ["linux"],
    "queueTime": "2026-01-01T00:00:00Z",
    "ownerName": "o",
    "result": "succeeded",
}
_WIRE = {
    "messageId": 1,
    "messageType": "RunnerScaleSetJobMessages",
    "body": "[]",
    "id": 7,
    "name": "linux",
    "count": 1,
    "value": [_JOB],
    "encodedJITConfig": "e30=",
    "runner": {"id": 7, "name": "x"},
    "statistics": {"totalAssignedJobs": 1, "totalRunningJobs": 0},
    "labels": [{"name": "x"}],
    "busy": False,
}
_STATUS = {
    "status": "ok",
    "version": "1",
    "uptime": "1s",
    "reason": "",
    "scale_sets": [
        {
            "name": "linux",
            "url": URL,
            "state": "ok",
            "reason": "x",
            "idle": 1,
            "busy": 1,
            "total": 2,
            "retry_seconds": 3.5,
            "unmet": [{"count": 1, "reason": "x", "detail": "y"}],
            "metrics": {},
        }
    ],
}
_TOML = (
    *('"' + "9" * 5000 + '"\n', "max-runners = ", 'job-timeout = "', "min-runners = "),
    *('url = "https://github.com/my-org"\n', 'name = "linux"\n', 'token = "t"\n', "max-runners = 3\n"),
    *("[docker]\n", "memory = ", "cpu = ", "[[scaleset]]\n", "[app]\n", 'private-key = "x"\n', "[tart]\n"),
    *(
        'drain-timeout = "',
        '6h30m"\n',
        'min-free-disk = "',
        '10GiB"\n',
        "health-port = ",
        "= [1, 2]\n",
        "{a = 1}\n",
    ),
    *(
        "[host]\n",
        "[[schedule]]\n",
        'labels = ["a", "b"]\n',
        "'''",
        '"""',
        "# comment\n",
        "9" * 400 + "\n",
        "a.b.c = 1\n",
    ),
    *(
        "1e400\n",
        "1979-05-27T07:32:00Z\n",
        "inf\n",
        "nan\n",
        "true\n",
        '"env:X"\n',
        '"file:y"\n',
        "\\u0000",
        "[" * 300,
    ),
)
_UNITS = (
    "90s",
    "6h30m",
    "1.5h",
    "10GiB",
    "512 MB",
    "9" * 39,
    "9" * 400,
    "1" * 5000,
    ".",
    "h",
    "-",
    "+",
    "µs",
    "e9",
)
_GUEST = (
    "started 42\n",
    "running\n",
    "killed\n",
    "3\n",
    "busy",
    "free",
    "9" * 5000,
    "-1",
    "started " + "9" * 5000,
)

_URLS = (
    *("https://github.com/my-org", "http://127.0.0.1:9001/my-org", "https://ghe.example.com/enterprises/e"),
    *(
        "/my-org/my-repo",
        "my-org",
        ".git",
        "git@github.com:o/r.git",
        "orgs/",
        "settings",
        "https://",
        "http:",
    ),
    *(
        "[::1]:80",
        "%2e%2e",
        "//",
        "?q",
        "#f",
        "user:pw@",
        ":99999",
        "localhost",
        ".ghe.com",
        "xn--",
        "\u202e",
    ),
)
_REQUESTS = (
    *("GET /healthz HTTP/1.1\r\n", "POST ", "GET / ", "HTTP/1.1\r\n", "HTTP/9.9\r\n", "Host: localhost\r\n"),
    *("Content-Length: 5\r\n", "Content-Length: -1\r\n", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
    *(
        "\r\n\r\n",
        "\r\n",
        "\n",
        "Accept-Encoding: gzip\r\n",
        "Last-Event-ID: 9\r\n",
        "Expect: 100-continue\r\n",
    ),
    *(
        "/%00",
        "/../..",
        "/livez",
        "/metrics",
        "?a=" + "b" * 9000,
        "X-A: " + "y" * 9000 + "\r\n",
        "Host: evil\r\n",
    ),
)

TARGETS = (
    Target("config", config, inputs.as_text(_TOML)),
    Target("token", token, inputs.as_text(("ghp_x", "\n", " "))),
    Target("units", units, inputs.as_text(_UNITS)),
    Target("labels", labels, inputs.as_json(_LABELS)),
    Target("engine-list", engine_answers, inputs.as_json([_CONTAINER])),
    Target("engine-answers", engine_answers, inputs.as_json(_ANSWER)),
    Target("engine-events", engine_events, inputs.as_json([_EVENT, {**_EVENT, "Action": "destroy"}])),
    Target("credential-helper", credential_helper, inputs.as_json({"Username": "me", "Secret": "word"})),
    Target("guest-output", guest_output, inputs.as_text(_GUEST)),
    Target("state-files", state_files, inputs.as_json(_STATE_FILE)),
    Target("wire", wire, inputs.as_json(_WIRE)),
    Target("status", status, inputs.as_json(_STATUS)),
    Target("urls", urls, inputs.as_text(_URLS)),
    Target("http-server", http_server.talk, inputs.as_text(_REQUESTS)),
)
