"""Routing of requests: the first route with the right method and path answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runscaler.simulator.http_messages import Reply, Request


@dataclass(frozen=True, slots=True)
class Call:
    """A request with the groups of its route's pattern. `scope` is the tenant's, where there is one."""

    request: Request
    scope: str
    args: tuple[str, ...]

    def number(self) -> int:
        """The first group of the pattern as a number."""
        return int(self.args[0])


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: re.Pattern[str]
    answer: Callable[[Call], Reply]


def route(method: str, path: str, answer: Callable[[Call], Reply]) -> Route:
    return Route(method, re.compile(path), answer)


def find_route(routes: Iterable[Route], method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
    for each in routes:
        if each.method == method and (match := each.path.fullmatch(path)):
            return each, match.groups()
    return None
