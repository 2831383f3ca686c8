"""The plugin that fails tests which show a planted secret, tried on tests that do."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from support.app_keys import private_key
from support.planted import TOKEN, planted_in
from support.shown_secrets import MARKER, ShownSecrets

pytest_plugins = ("pytester",)

TESTS = f"""
import base64, logging, os, subprocess, sys
import pytest
from loguru import logger

TOKEN = "ghp_" + "s3" + "cr3t" + "s3cr3t" * 5

WAITS = "echo ready; read end"

def test_standard_output(): print("token =", TOKEN)
def test_standard_error(): print("token =", TOKEN, file=sys.stderr)
def test_base64(): print(base64.b64encode(f"a:{{TOKEN}}".encode()).decode())
def test_logging(): logging.getLogger("any").warning("token = %s", TOKEN)
def test_loguru(): logger.debug("token = {{}}", TOKEN)
def test_loguru_field(): logger.bind(token=TOKEN).debug("connects")
def test_what_it_reads(capsys):
    print(TOKEN)
    assert capsys.readouterr().out
def test_program():
    subprocess.run([sys.executable, "-c", "print('s3' + 'cr3t')"], capture_output=True, check=True)
@pytest.fixture
def start():
    made = []
    def start(*words, **variables):
        made.append(subprocess.Popen(words, stdin=-1, stdout=-1, env={{**os.environ, **variables}}))
        assert made[-1].stdout.readline() == b"ready\\n"
    yield start
    for one in made:
        with one:
            one.stdin.close()
def test_arguments(start): start("sh", "-c", WAITS, TOKEN)
def test_environment_of_a_child(start): start("sh", "-c", f"sh -c '{{WAITS}}'; true", T="eyJ" + "Ab3" * 40)
def test_own_environment(start): start("sh", "-c", WAITS, T="eyJ" + "Ab3" * 40)
@pytest.fixture
def leaky():
    yield
    print(TOKEN)
def test_teardown(leaky): pass
def test_skipped():
    print(TOKEN)
    pytest.skip("after it was shown")

@pytest.mark.{MARKER}("to see that this is allowed")
def test_allowed(): print(TOKEN)
def test_clean(capsys):
    print("token = ********")
    logger.info("token = ********")
"""
LEAKS = 12
ALLOWED = {"test_allowed", "test_clean", "test_own_environment"}


@pytest.mark.shows_secrets("the tests inside it do, in this process")
def test_every_way_in_which_a_test_shows_a_secret_fails_it_unless_it_is_marked(pytester):
    pytester.makepyfile(TESTS)

    ended = pytester.inline_run("-p", "no:terminal", plugins=[ShownSecrets()])

    passed, _, failed = ended.listoutcomes()
    names = {one.nodeid.partition("::")[2] for one in failed}
    assert len(failed) == len(names) == LEAKS, names
    assert not names & ALLOWED
    assert {one.nodeid.partition("::")[2] for one in passed} >= ALLOWED
    for one in failed:
        assert "shows secrets" in one.longreprtext
        assert planted_in(one.longreprtext.encode()) == []


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        quote(f"me:{TOKEN}@host"),
        repr({"token": TOKEN}),
        TOKEN.encode().hex(),
        *(base64.b64encode(f"{'x' * n}:{TOKEN}".encode()).decode() for n in range(3)),
        "ghs_" + "A1b2" * 9,
        private_key(),
        repr(private_key()),
        "eyJhbGciOiJub25lIn0" * 5,
        "--jitconfig=" + "eyJhbGciOiJub25lIn0" * 5,
        "Authorization: Bearer abcdefghijkl",
    ],
)
def test_a_secret_is_found_in_each_form(text):
    assert planted_in(f"it is {text}".encode())
    assert "it is" in planted_in(f"it is {text}".encode())[0]


@pytest.mark.parametrize(
    "text",
    ["token = ********", "ghp_…", "-----BEGIN PRIVATE KEY-----", "ghs_x", "a" * 400, "Bearer ********"],
)
def test_what_is_masked_or_only_named_is_no_secret(text):
    assert planted_in(text.encode()) == []
