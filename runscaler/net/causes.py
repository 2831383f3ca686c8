"""What lies behind an exception of requests, urllib3 or docker-py."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def causes_of(error: BaseException, handled: BaseException | None = None) -> Iterator[BaseException]:
    """The error and everything that it was raised from, nearest first.

    The libraries pass a cause on not only as `__cause__` and `__context__`, but also as an argument or as
    `reason`. `handled` is an exception that was being handled when the call began: Python makes it the
    context of every later one, though it caused none of them.
    """
    seen = {id(handled)}
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        context = None if each.__suppress_context__ else each.__context__
        waiting += [each.__cause__, context, *each.args, getattr(each, "reason", None)]
