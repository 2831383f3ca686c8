"""The error classes, and the class tree in their module's docstring."""

from __future__ import annotations

import inspect
import re

import pytest

from runscaler import errors
from runscaler.errors import (
    ConfigError,
    GitHubError,
    Interrupted,
    RateLimited,
    RunscalerError,
    StartFailed,
    UsageError,
)
from runscaler.findings import Finding, Level

BRANCH = re.compile(r"^ {4}(?P<stem>[ │├└─]*)(?P<name>[A-Z]\w+) +\S")
CLASSES = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RunscalerError)
]
GITHUB_ERRORS = [kind for kind in CLASSES if issubclass(kind, GitHubError)]
RETRYABLE = {"Unreachable", "MalformedReply", "ServerError", "RateLimited"}


def documented() -> dict[str, str]:
    """Each error in the docstring's tree with its parent."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := BRANCH.match(line):
            depth = len(found["stem"]) // 4
            path[depth:] = [found["name"]]
            parents[found["name"]] = path[depth - 1] if depth else "Exception"
    return parents


def defined() -> dict[str, str]:
    return {kind.__name__: kind.__mro__[1].__name__ for kind in CLASSES}


def made(kind: type[GitHubError]) -> GitHubError:
    if issubclass(kind, RateLimited):
        return kind("it failed", retry_after=8.0, request_id="A1:B2", fixes=["wait"])
    return kind("it failed", request_id="A1:B2", fixes=["wait"])


def test_the_class_tree_in_the_docstring_is_right() -> None:
    assert documented() == defined()


def test_every_error_has_a_docstring() -> None:
    assert [kind.__name__ for kind in CLASSES if not kind.__doc__] == []


def test_an_error_keeps_its_line_and_its_fixes_in_order() -> None:
    error = StartFailed("cannot start runner-00000000: no space left", fixes=["free space", "fewer runners"])

    assert str(error) == "cannot start runner-00000000: no space left"
    assert error.fixes == ("free space", "fewer runners")


@pytest.mark.parametrize("kind", GITHUB_ERRORS)
def test_every_error_of_github_keeps_line_fixes_and_request_id(kind: type[GitHubError]) -> None:
    error = made(kind)

    assert (str(error), error.fixes, error.request_id) == ("it failed", ("wait",), "A1:B2")


@pytest.mark.parametrize("kind", GITHUB_ERRORS)
def test_only_temporary_errors_are_retryable(kind: type[GitHubError]) -> None:
    assert made(kind).retryable == (kind.__name__ in RETRYABLE)


def test_a_missing_reply_has_status_zero_and_a_rate_limit_429() -> None:
    assert GitHubError("no reply").status == 0
    assert RateLimited("wait", retry_after=8.0).status == 429
    assert RateLimited("wait", retry_after=8.0, status=403).status == 403


def test_a_configuration_error_has_one_line_per_problem() -> None:
    findings = [Finding(Level.ERROR, "url is missing"), Finding(Level.ERROR, "max-runners is 0")]

    error = ConfigError(findings)

    assert str(error) == "url is missing\nmax-runners is 0"
    assert error.findings == tuple(findings)


def test_wrong_usage_exits_with_two_and_everything_else_with_one() -> None:
    assert [kind.__name__ for kind in CLASSES if kind.exit_code != 1] == ["UsageError"]
    assert UsageError([]).exit_code == 2


def test_an_interruption_has_a_fixed_message() -> None:
    assert str(Interrupted()) == "interrupted"
    assert isinstance(Interrupted(), RunscalerError)
