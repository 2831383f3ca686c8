from __future__ import annotations

from urllib3.exceptions import MaxRetryError

from runscaler.net.causes import causes_of


def test_causes_are_found_wherever_the_libraries_put_them() -> None:
    reason, argument, cause, context = OSError("reason"), OSError("argument"), OSError("cause"), OSError("x")
    error = MaxRetryError(None, "/", reason)
    error.args = (argument,)
    error.__cause__, error.__context__, error.__suppress_context__ = cause, context, False

    assert list(causes_of(error)) == [error, cause, context, argument, reason]


def test_a_context_that_is_suppressed_is_no_cause() -> None:
    error = OSError("error")
    error.__context__, error.__suppress_context__ = OSError("handled"), True

    assert list(causes_of(error)) == [error]


def test_what_was_being_handled_when_the_call_began_is_no_cause() -> None:
    handled, error = OSError("handled"), OSError("error")
    error.__context__, handled.__context__ = handled, OSError("before it")

    assert list(causes_of(error, handled)) == [error]


def test_a_circle_of_causes_ends() -> None:
    first, second = OSError("first"), OSError("second")
    first.__cause__, second.__cause__ = second, first

    assert list(causes_of(first)) == [first, second]
