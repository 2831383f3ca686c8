from __future__ import annotations

import io

from runscaler.cli.console import console, in_colour, printable, say, show_error, show_finding, table
from runscaler.errors import ConfigError, HostError
from runscaler.findings import Finding, Level


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def rendered(renderable, stream=None) -> str:
    out = stream or io.StringIO()
    console(out).print(renderable)
    return out.getvalue()


def test_a_finding_is_one_line_with_its_fixes_below(capsys):
    show_finding(Finding(Level.ERROR, "no engine", ("start it", "or point elsewhere"), "linux"))

    assert capsys.readouterr().out == "✗ [linux] no engine\n  → start it\n  → or point elsewhere\n"


def test_passed_checks_and_warnings_have_their_own_signs(capsys):
    show_finding(Finding(Level.OK, "reachable"))
    show_finding(Finding(Level.WARNING, "old image"))

    assert capsys.readouterr().out == "✓ reachable\n⚠ old image\n"


def test_a_name_cannot_move_the_cursor_or_forge_a_line(capsys):
    show_finding(Finding(Level.OK, "fine", scale_set="a\x1b[2J\nb"))

    assert capsys.readouterr().out == "✓ [a\\x1b[2J\\nb] fine\n"


def test_printable_keeps_what_people_write():
    assert printable("Grüße – ✓") == "Grüße – ✓"
    assert printable("\u202e\x07") == "\\u202e\\x07"


def test_a_configuration_error_has_one_line_for_each_problem(capsys):
    show_error(ConfigError([Finding(Level.ERROR, "url is missing"), Finding(Level.ERROR, "name is missing")]))

    assert capsys.readouterr().err == "✗ url is missing\n✗ name is missing\n"


def test_an_error_is_one_line_even_if_it_quotes_several(capsys):
    show_error(HostError("engine said:\nboom\n  twice"))

    assert capsys.readouterr().err == "error: engine said: boom twice\n"


def test_only_output_on_a_terminal_is_coloured(capsys, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    say("plain", colour="red")

    assert capsys.readouterr().out == "plain\n"
    assert in_colour(Terminal())
    assert not in_colour(io.StringIO())


def test_no_color_is_respected_on_a_terminal(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    assert not in_colour(Terminal())


def test_a_table_aligns_numbers_right_and_text_left():
    text = rendered(table(("NAME", "IDLE"), [("linux", 1), ("a", 100)]))

    assert [line.rstrip() for line in text.splitlines()] == ["NAME   IDLE", "linux     1", "a       100"]


def test_a_table_in_a_pipe_cuts_nothing_off():
    name = "x" * 150

    assert name in rendered(table(("NAME", "IDLE"), [(name, 1)]))


def test_a_cell_is_text_and_never_markup():
    assert "[red]x[/red] :smile:" in rendered(table(("NAME",), [("[red]x[/red] :smile:",)]))
