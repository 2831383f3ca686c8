"""Each way that GitHub refuses a credential, told apart by `validate` and by `run`
(docs/behaviour.md § 4.3, 12; faults F27 to F30); and a daemon that works with a GitHub App."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support.app_keys import CLIENT_ID, private_key, public_key
from support.daemon import all_ok, of

from runscaler.testing.simulator import FAST, App, Installation, JobState, Match, Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.daemon import Daemon, Json

GOOD = "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"
MISTYPED = GOOD[:-1] + "8"
OVER = "ghp_" + "A" * 30 + "0uCPlr"
FINE_GRAINED = "github_pat_11AAAAAAA0" + "b" * 40
SSO = "https://github.com/orgs/my-org/sso?authorization_request=AAAA"
APPS = (App((CLIENT_ID,), public_key()),)
INSTALLED = (
    Installation(7, "app-org"),
    Installation(8, "suspended-org", suspended=True),
    Installation(9, "permission-org"),
    Installation(10, "key-org"),
)
ADMIN, APP_RIGHT = "admin:org", "the organisation permission Self-hosted runners: read and write"


@dataclass(frozen=True)
class Case:
    """`kind` is that of fault F28 for the organisation; the line has `why`, its cures have `cure`."""

    why: str
    cure: str
    kind: str = ""
    token: str = GOOD
    app: tuple[tuple[str, Any], ...] = ()


def app(**changed: Any) -> tuple[tuple[str, Any], ...]:
    given = {"client-id": CLIENT_ID, "private-key": private_key(), **changed}
    return tuple((key, value) for key, value in given.items())


CASES = {
    "wrong": Case("the token is wrong: its checksum does not fit", "make a new token", token=MISTYPED),
    "expired": Case("the token has expired, was revoked", "make a new token", token=OVER),
    "scope": Case("a right is missing", "GitHub wants the scope admin:org; the token has repo", "scope"),
    "sso": Case("not authorised for the organisation's single sign-on", SSO, "sso"),
    "ip": Case("this host's address is not allowed", "add this host's address to", "ip"),
    "hidden": Case(
        "does not exist, was renamed, or the token may not see it", "check the spelling", "hidden"
    ),
    "pending": Case(
        "a right is missing", "may still wait for the organisation's approval", "pending", FINE_GRAINED
    ),
    "not-installed": Case("is not installed for not-installed-org", "the App's page, Install App", app=app()),
    "key": Case(
        "the private key is not one of the App",
        "make a private key on the App's page",
        app=app(**{"private-key": private_key("other")}),
    ),
    "unknown-app": Case(
        "there is no App Iv1.other", "check client-id", app=app(**{"client-id": "Iv1.other"})
    ),
    "installation": Case("has no such installation", "leave it out", app=app(**{"installation-id": 999})),
    "suspended": Case("the App's installation is suspended", "lift the App's suspension", app=app()),
    "permission": Case("a right is missing", APP_RIGHT, "integration", app=app()),
}
TOKENS = (GOOD, FINE_GRAINED)


@pytest.fixture
def strict() -> Iterator[SimulatedGitHub]:
    """A GitHub that knows its tokens, its App and where that is installed."""
    options = Options(timers=FAST, tokens=TOKENS, apps=APPS, installations=INSTALLED)
    with SimulatedGitHub(options) as made:
        yield made


def keys(scale_set: Callable[..., Json], name: str, url: str, case: Case) -> Json:
    made = scale_set(name, backend="process", url=url)
    del made["token"]
    return {**made, "app": dict(case.app)} if case.app else {**made, "token": case.token}


def secret_parts() -> list[str]:
    bodies = [key.splitlines()[5] for key in (private_key(), private_key("other"))]
    return [*bodies, GOOD, MISTYPED, OVER, FINE_GRAINED]


def test_each_refusal_has_one_clear_line_with_its_cure_in_validate_and_in_run(
    strict: SimulatedGitHub,
    daemon: Callable[..., Daemon],
    scale_set: Callable[..., Json],
) -> None:
    for name, case in CASES.items():
        if case.kind:
            strict.inject("F28", kind=case.kind, match=Match(path=f"/orgs/{name}-org/"))
    sets = [keys(scale_set, name, strict.config_url(f"{name}-org"), case) for name, case in CASES.items()]
    program = daemon({"scaleset": sets})

    validated = program.command("validate")
    as_json = program.command("validate", "--json")
    strict.client_restarted()
    program.start()
    health = program.wait_for(lambda now: all(one["state"] == "degraded" for one in now["scale_sets"]))
    program.stop()

    findings = [one for one in json.loads(as_json.out)["findings"] if one["level"] == "error"]
    assert [one["scale_set"] for one in findings] == list(CASES)
    for finding in findings:
        name = finding["scale_set"]
        case = CASES[name]
        degraded = [
            line for line in program.log.splitlines() if f"scale_set={name}" in line and " WARN" in line
        ]
        assert case.why in finding["message"], name
        assert case.cure in " ".join(finding["fixes"]), name
        assert case.why in of(health, name)["reason"], name
        assert len(degraded) == 1, name
        assert case.why in degraded[0], name
        assert case.cure in degraded[0], name
        assert case.why in " ".join(validated.out.split()), name
    assert len({finding["message"] for finding in findings}) == len(CASES)
    assert (validated.code, as_json.code) == (1, 1)
    shown = "".join(
        (validated.out, validated.err, as_json.out, program.log, program.errors, json.dumps(health))
    )
    assert [part for part in secret_parts() if part in shown] == []
    assert "BEGIN" not in shown


@pytest.mark.parametrize(("seconds", "words"), [(-600, "10 min ahead of"), (600, "10 min behind")])
def test_a_clock_that_is_ten_minutes_off_is_told_apart(
    strict: SimulatedGitHub,
    daemon: Callable[..., Daemon],
    scale_set: Callable[..., Json],
    seconds: float,
    words: str,
) -> None:
    strict.inject("F30", seconds=float(seconds))
    case = Case("", "", app=app())
    program = daemon(keys(scale_set, "linux", strict.config_url("app-org"), case))

    validated = program.command("validate")
    strict.client_restarted()
    program.start()
    health = program.wait_for(lambda now: of(now, "linux")["state"] == "degraded")
    program.stop()

    told = f"this host's clock is {words} GitHub's, so it refuses the App's JWT"
    assert told in " ".join(validated.out.split())
    assert told in of(health, "linux")["reason"]
    assert "set this host's clock, best by NTP" in program.log


def test_an_app_for_an_enterprise_is_refused_before_anything_is_asked(
    strict: SimulatedGitHub, daemon: Callable[..., Daemon], scale_set: Callable[..., Json]
) -> None:
    program = daemon(keys(scale_set, "linux", strict.config_url("enterprises/big"), Case("", "", app=app())))

    ended = [program.command(*words) for words in (("validate", "--offline"), ("validate",), ("run",))]

    for one in ended:
        assert one.code == 1
        assert "GitHub Apps cannot register runners for an enterprise" in " ".join(
            f"{one.out} {one.err}".split()
        )


def test_jobs_run_with_an_app_whose_key_lies_in_a_file(
    strict: SimulatedGitHub, daemon: Callable[..., Daemon], scale_set: Callable[..., Json], tmp_path: Path
) -> None:
    (tmp_path / "app.pem").write_text(private_key())
    written = {"private-key": str(tmp_path / "app.pem"), "client-id": CLIENT_ID}
    case = Case("", "", app=tuple(written.items()))
    names = {"org": "app-org", "repository": "app-org/site"}
    program = daemon(
        {"scaleset": [keys(scale_set, name, strict.config_url(scope), case) for name, scope in names.items()]}
    )

    validated = program.command("validate")
    strict.client_restarted()
    program.start()
    program.wait_for(all_ok)
    jobs = strict.wait_for_jobs([strict.queue_jobs(name)[0] for name in names])
    program.wait_for(lambda now: not any(one["total"] for one in now["scale_sets"]))

    assert validated.code == 0, validated.out
    assert f"takes the GitHub App {CLIENT_ID} for the organisation" in " ".join(validated.out.split())
    assert {one.result for one in jobs} == {"succeeded"}
    assert (program.stop(), program.errors, program.leftovers()) == (0, "", [])
    assert strict.final_violations() == ()


@pytest.mark.parametrize(("scope", "now"), [("app-org/site", "app-org/page"), ("app-org", "new-org")])
def test_jobs_go_on_while_an_organisation_or_repository_is_renamed(
    strict: SimulatedGitHub,
    daemon: Callable[..., Daemon],
    scale_set: Callable[..., Json],
    latch: Any,
    scope: str,
    now: str,
) -> None:
    program = daemon(keys(scale_set, "linux", strict.config_url(scope), Case("", "", app=app())))
    program.start()
    program.wait_for(all_ok)
    (before,) = strict.queue_jobs("linux", steps=[latch.step])
    strict.wait_for_jobs([before], JobState.RUNNING)

    strict.rename(scope, now)
    strict.inject("F23", count=1)
    after = strict.queue_jobs("linux", 2)
    served = strict.wait_for_jobs(after)
    program.wait_for_log("was renamed or moved")
    latch.release()
    (done,) = strict.wait_for_jobs([before])
    program.wait_for(lambda health: of(health, "linux")["total"] == 0)

    assert {one.result for one in (done, *served)} == {"succeeded"}
    assert (done.attempts, of(program.health() or {}, "linux")["state"]) == (1, "ok")
    assert program.log.count("was renamed or moved") == 1
    assert f'set url = "{strict.config_url(now)}"' in program.log
    assert (program.stop(), program.errors, program.leftovers()) == (0, "", [])
    assert strict.final_violations() == ()
