"""The mistakes that people make in TOML most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runscaler.errors import ConfigError

if TYPE_CHECKING:
    from conftest import Load

MINIMAL = 'url = "https://github.com/my-org"\nname = "linux"\n'


@pytest.mark.parametrize(
    ("text", "where", "what", "fix"),
    [
        ("[docker]\ndind = True\n", "4:8", "True is not a value in TOML", "write dind = true"),
        ("dry-run = no # not now\n", "3:11", "no is not a value in TOML", "write dry-run = false"),
        ("runner-group = None\n", "3:16", "None is not a value in TOML", "leave runner-group out"),
        ("backend = docker\n", "3:11", "the value of backend has no quotation marks", 'write backend = "…"'),
        ("drain-timeout = 30s\n", "3:19", "the value of drain-timeout has no", 'write drain-timeout = "…"'),
        ("labels = [a, b]\n", "3:11", "a text in the list or table has no", 'write each like "…"'),
        ("backend = “docker”\n", "3:11", "typographic quotation marks", 'replace them with plain ones: "'),
        ("[docker]\n[tart]\n[docker]\n", "5:8", "[docker] appears twice, first in line 3", "put its keys"),
        ("docker = 1\n[docker]\ndind = true\n", "4:8", "docker is a value above and a table here", "use one"),
        ("[scaleset]\n[[scaleset]]\n", "4:11", "[scaleset] appears twice", "write [[scaleset]] above each"),
        ("backend: docker\n", "3:8", "a colon in place of an equals sign", "write KEY = VALUE"),
        ('ca = "C:\\certs"\n', "3:", "a backslash in a text", "use single quotes, or write it twice"),
        ('ca = "/certs\n', "3:", "a text has no closing quotation mark", ""),
        ('name = "b"\n', "3:11", "this key is set twice", "remove one name"),
    ],
)
def test_the_cause_comes_with_a_cure(load: Load, text: str, where: str, what: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(MINIMAL + text)

    (finding,) = caught.value.findings
    assert f"config.toml:{where}" in finding.message
    assert f": this is not TOML: {what}" in finding.message
    assert "".join(finding.fixes).startswith(fix)


@pytest.mark.parametrize("written", ["ghp_hunter2", "“ghp_hunter2”", "4hunter2"])
def test_a_value_is_not_repeated(load: Load, written: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"{MINIMAL}token = {written}\n")

    assert "hunter2" not in str(caught.value) + repr(caught.value.findings)
