"""Sources and their precedence, invalid files, types and values (docs/behaviour.md § 4.1, 4.2)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.app_keys import private_key

from runscaler.config.features import missing_features
from runscaler.config.load import load_config
from runscaler.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from conftest import Lines, Load

    from runscaler.config.sources import Locations

MINIMAL = 'url = "https://github.com/my-org"\nname = "linux"\n'
TOKEN = {"RUNNER_TOKEN": "ghp_s3cr3t_of_the_environment"}


def write(path: Path, text: str = MINIMAL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_small_file_gives_one_scale_set_with_all_defaults(load: Load) -> None:
    config = load(MINIMAL)

    (settings,) = config.scale_sets
    assert (settings.url, settings.name, settings.labels) == (
        "https://github.com/my-org",
        "linux",
        ("linux",),
    )
    assert (settings.max_runners, settings.min_runners, settings.backend) == (10, 0, "docker")
    assert (settings.idle_timeout, settings.start_timeout, settings.job_timeout) == (600, 300, 0)
    assert settings.docker.dind is True
    assert (config.health_port, config.drain_timeout, config.on_exit) == (8080, 30, "remove")
    assert config.warnings == ()


def test_five_mistakes_are_five_error_lines(error_lines: Lines) -> None:
    text = """\
url = "github.com/my-org"
name = "linux"
max-runers = 3
idle-timeout = "soon"

[docker]
memory = "lots"
dind = "maybe"
"""

    assert error_lines(text) == [
        'config.toml:1: url: "github.com/my-org" is not valid: it has no scheme',
        "config.toml:3: unknown key max-runers; did you mean max-runners?",
        (
            'config.toml:4: idle-timeout: "soon" is not valid: expected a duration such as "90s", "10m" or '
            '"6h30m", or whole seconds'
        ),
        'config.toml:7: [docker] memory: "lots" is not valid: expected a whole number of at least 0',
        'config.toml:8: [docker] dind: "maybe" is not valid: expected true, false or "sidecar"',
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("max-runners = 0", "max-runners: 0 is not valid: expected a whole number of at least 1"),
        (
            "max-runners = 1000000000",
            (
                "max-runners: 1000000000 is not valid (it is above 100000): "
                "expected a whole number of at least 1"
            ),
        ),
        (
            'state-dir = "~nobody-here/x"',
            (
                'state-dir: "~nobody-here/x" is not valid (the home directory of ~nobody-here is '
                "unknown): expected a directory"
            ),
        ),
        (
            'state-dir = "a\\u0000"',
            'state-dir: "a\\u0000" is not valid (it contains a NUL character): expected a directory',
        ),
        ("max-runners = true", "max-runners: true is not valid: expected a whole number of at least 1"),
        ("max-runners = 1.5", "max-runners: 1.5 is not valid: expected a whole number of at least 1"),
        ("min-runners = 11", "min-runners: 11 is above max-runners (10)"),
        ("min-runners = -1", "min-runners: -1 is not valid: expected a whole number from 0 to max-runners"),
        ("health-port = 70000", "health-port: 70000 is not valid: expected a port from 0 to 65535"),
        ('log-level = "loud"', 'log-level: "loud" is not valid: expected debug, info, warn or error'),
        ('on-exit = "stay"', 'on-exit: "stay" is not valid: expected remove or keep'),
        ("dry-run = 1", "dry-run: 1 is not valid: expected true or false"),
        ("labels = 5", "labels: 5 is not valid: expected a list of strings"),
        ('labels = ["a", 5]', 'labels: ["a", 5] is not valid: expected a list of strings'),
        ("runner-group = 1", "runner-group: 1 is not valid: expected a string"),
        ("docker = 5", "[docker]: 5 is not valid: expected a table"),
        ("scaleset = 5", "scaleset: 5 is not valid: expected tables that begin with [[scaleset]]"),
        (
            "docker.cpu = nan",
            "[docker] cpu: nan is not valid (it is not a finite number): expected a number of at least 0",
        ),
        (
            "docker.env = { A = 5 }",
            "[docker.env] A: ******** is not valid: expected strings, env:NAME or file:PATH",
        ),
        (
            'docker.host = "http://x"',
            (
                '[docker] host: "http://x" is not valid (it is not the URL of an engine): '
                "expected a URL that begins with unix://, tcp:// or ssh://"
            ),
        ),
        (
            'docker.socket = "tcp://x:1"',
            (
                '[docker] socket: "tcp://x:1" is not valid (it is a URL: use host '
                "instead of socket): expected the path of a socket"
            ),
        ),
        (
            'docker.shared-volume = "shared"',
            (
                '[docker] shared-volume: "shared" is not valid (it is not an absolute path '
                "without colons): expected an absolute path in the container, or an empty string"
            ),
        ),
        (
            'docker.shared-volume = "/"',
            (
                '[docker] shared-volume: "/" is not valid (it is the root of the container): '
                "expected an absolute path in the container, or an empty string"
            ),
        ),
        (
            'metrics.job-labels = ["repo"]',
            (
                '[metrics] job-labels: ["repo"] is not valid (no such label: repo): '
                "expected a list of enterprise, organization, repository, job_name, event_name, job_result, "
                "job_workflow_ref, job_workflow_name, job_workflow_target"
            ),
        ),
        (
            "metrics.job-buckets = [1, 1]",
            (
                "[metrics] job-buckets: [1, 1] is not valid (the numbers must increase "
                "and be above 0): expected a list of increasing numbers above 0"
            ),
        ),
    ],
)
def test_an_invalid_value_is_an_error_with_key_value_and_valid_values(
    error_lines: Lines, line: str, message: str
) -> None:
    assert error_lines(f"{line}\n{MINIMAL}") == [f"config.toml:1: {message}"]


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("docker.shared-volume-cleanup-interval", "shared-volume-ttl = 0"),
        ("docker.buildx-cleanup-ttl", "buildx-cleanup = false"),
        ("docker.buildx-cleanup-interval", "buildx-cleanup = false"),
        ("docker.pull-interval", 'pull = "missing"'),
        ("tart.cache-max-age", "cache-cleanup = false"),
        ("tart.cache-cleanup-interval", "cache-cleanup = false"),
    ],
)
def test_zero_for_a_cleanup_interval_names_the_key_that_turns_it_off(
    error_lines: Lines, key: str, fix: str
) -> None:
    (line,) = error_lines(f"{MINIMAL}{key} = 0")

    assert f"to turn this off set {fix}" in line


@pytest.mark.parametrize("key", ["idle-timeout", "job-timeout", "drain-timeout", "docker.shared-volume-ttl"])
def test_other_durations_may_be_zero_but_never_negative(load: Load, error_lines: Lines, key: str) -> None:
    load(f"{MINIMAL}{key} = 0")

    assert "is not valid" in error_lines(f'{MINIMAL}{key} = "-5s"')[0]
    assert "is not valid" in error_lines(f"{MINIMAL}{key} = -5")[0]


def test_durations_are_go_style_or_whole_seconds(load: Load) -> None:
    config = load(f'drain-timeout = 45\nidle-timeout = "6h30m"\n{MINIMAL}')

    assert (config.drain_timeout, config.scale_sets[0].idle_timeout) == (45, 23400)


def test_cache_max_age_is_whole_days(error_lines: Lines) -> None:
    assert "not a whole number of days" in error_lines(f'{MINIMAL}tart.cache-max-age = "36h"')[0]


def test_sizes_are_bytes_inside(load: Load) -> None:
    host = load(f'{MINIMAL}[host]\nmin-free-disk = "10GiB"\nmin-free-memory = 512').host

    assert (host.min_free_disk, host.min_free_memory) == (10 * 1024**3, 512 * 1024**2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("url = \n", "config.toml:1:7: this is not TOML: invalid value"),
        (
            f"{MINIMAL}[docker\n",
            "config.toml:3:8: this is not TOML: expected ']' at the end of a table declaration",
        ),
        ('name = "a"\nname = "b"\n', "config.toml:2:11: this is not TOML: this key is set twice"),
        (
            '[scaleset]\nname = "a"\n[scaleset]\n',
            "config.toml:3:10: this is not TOML: [scaleset] appears twice",
        ),
        (
            f"a = {'[' * 5000}{']' * 5000}\n",
            "config.toml: this is not a configuration: its values are nested too deeply",
        ),
        ('name = """a', "config.toml:1:12: this is not TOML: unterminated string"),
    ],
)
def test_malformed_toml_gives_file_line_and_column(error_lines: Lines, text: str, message: str) -> None:
    (line,) = error_lines(text)

    assert line.startswith(message)


def test_invalid_utf8_is_an_error_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b'name = "linux"\nurl = "\xff"\n')

    with pytest.raises(ConfigError, match=r"config\.toml:2:8: this is not UTF-8 text"):
        load_config(path, environ=TOKEN)


def test_a_byte_order_mark_and_carriage_returns_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode() + b"nmae = 1\r\n")

    with pytest.raises(ConfigError, match=r"config\.toml:3: unknown key nmae; did you mean name\?"):
        load_config(path, environ=TOKEN)


def test_a_directory_and_a_missing_file_are_different_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is a directory"):
        load_config(tmp_path, environ=TOKEN)
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(tmp_path / "none.toml", environ=TOKEN)


def test_the_home_of_a_user_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"~nobody-here/x: the home directory of ~nobody-here is unknown"):
        load_config("~nobody-here/x", environ=TOKEN)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.symlink_to(path)

    with pytest.raises(ConfigError, match="it cannot be read"):
        load_config(path, environ=TOKEN)


def test_a_missing_file_is_fine_when_the_flags_suffice(tmp_path: Path, locations: Locations) -> None:
    flags = {"url": "https://github.com/o", "name": "n"}

    config = load_config(tmp_path / "none.toml", flags=flags, environ=TOKEN, locations=locations)

    assert config.path is None
    assert "there is no such file" in config.warnings[0].message


def test_the_first_location_with_a_file_is_used(locations: Locations) -> None:
    order = [locations.local, locations.user, locations.system, locations.legacy]
    for path in reversed(order):
        write(path)

        assert load_config(environ=TOKEN, locations=locations).path == path


def test_another_programs_file_in_this_directory_is_skipped_with_a_warning(locations: Locations) -> None:
    write(locations.local, 'title = "a blog"\n[params]\nurl = "x"\n')
    write(locations.user)

    config = load_config(environ=TOKEN, locations=locations)

    assert config.path == locations.user
    assert "skipped, because it has none of runscaler's keys" in config.warnings[0].message


def test_without_search_no_file_is_read(locations: Locations) -> None:
    write(locations.user)

    with pytest.raises(ConfigError, match="there is no configuration"):
        load_config(environ=TOKEN, locations=locations, search=False)


def test_without_search_a_named_file_must_be_there_though_flags_would_do(tmp_path: Path) -> None:
    flags = {"url": "https://github.com/o", "name": "n"}
    path = tmp_path / "gone.toml"

    assert load_config(path, environ=TOKEN, flags=flags).path is None
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(path, environ=TOKEN, flags=flags, search=False)


def test_a_missing_configuration_is_an_error_with_the_locations_and_fixes(locations: Locations) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environ={}, locations=locations)

    assert str(locations.user) in caught.value.findings[0].message
    assert caught.value.findings[0].fixes[0] == "write one: runner init"
    assert len(caught.value.findings) == 1
    assert "write url, name and token into ./config.toml" in caught.value.findings[0].fixes


def test_unknown_keys_in_the_legacy_file_are_only_warned_about(locations: Locations) -> None:
    write(locations.legacy, f'{MINIMAL}dind = true\nfoo = 1\n[docker]\nbar = 2\n[tart]\nimage = "x"\n')

    config = load_config(environ=TOKEN, locations=locations)

    lines = [finding.message.removeprefix(str(locations.legacy)) for finding in config.warnings]
    assert config.warnings[0].fixes == ("runner migrate", f"move it to {locations.system}")
    assert [line.split(":")[1] for line in lines[1:]] == ["3", "4", "6", "8"]


def test_the_legacy_file_is_recognised_when_given_by_path(locations: Locations) -> None:
    path = write(locations.legacy, f"{MINIMAL}foo = 1\n")

    config = load_config(path, environ=TOKEN, locations=locations)

    assert len(config.warnings) == 2


def test_flags_override_the_file(load: Load) -> None:
    config = load(
        f'max-runners = 3\nlog-level = "debug"\n{MINIMAL}[docker]\nmemory = 1\ncpu = 2\n',
        flags={
            "max_runners": "7",
            "docker-memory": 512,
            "log-level": "warn",
            "dind": "false",
            "labels": ("a,linux",),
        },
    )

    (settings,) = config.scale_sets
    assert (settings.max_runners, settings.docker.memory, settings.docker.cpu) == (7, 512, 2)
    assert (config.log_level, settings.docker.dind, settings.labels) == ("warn", False, ("a", "linux"))


def test_a_bad_flag_is_wrong_usage_and_a_bad_file_a_failure(load: Load) -> None:
    with pytest.raises(UsageError) as usage:
        load(MINIMAL, flags={"max-runners": "many"})
    with pytest.raises(ConfigError) as failure:
        load(f'{MINIMAL}max-runners = "many"')

    assert usage.value.exit_code == 2
    assert str(usage.value) == '--max-runners: "many" is not valid: expected a whole number of at least 1'
    assert failure.value.exit_code == 1


def test_a_flag_that_breaks_a_rule_between_keys_is_reported_once(load: Load) -> None:
    with pytest.raises(UsageError) as usage:
        load(MINIMAL, flags={"min-runners": "5", "max-runners": "2"})

    assert str(usage.value) == "--min-runners: 5 is above max-runners (2)"


def test_an_unknown_flag_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no flag --bogus"):
        load_config(flags={"bogus": 1}, environ=TOKEN, search=False)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("log_level = 'info'\n", ["config.toml:1: unknown key log_level; did you mean log-level?"]),
        (
            "memory = 1\n",
            [
                (
                    "config.toml:1: unknown key memory; there is memory in [docker], memory in [orchard], "
                    "memory in [swarm], memory in [tart]"
                )
            ],
        ),
        ("[dokcer]\nx = 1\n", ["config.toml:1: unknown key dokcer; did you mean docker?"]),
        (
            "[docker]\ndrain-timeout = 1\n",
            [
                (
                    "config.toml:2: unknown key [docker] drain-timeout: drain-timeout "
                    "belongs at the top of the file, above the first [table]"
                )
            ],
        ),
        ("[docker]\nzzzzzz = 1\n", ["config.toml:2: unknown key [docker] zzzzzz"]),
        ("[[scalset]]\nx = 1\n", ["config.toml:1: unknown key scalset; did you mean scaleset?"]),
    ],
)
def test_for_an_unknown_key_a_similar_one_is_suggested(
    error_lines: Lines, text: str, lines: list[str]
) -> None:
    assert error_lines(f"{text}", flags={"url": "https://github.com/o", "name": "n"}) == lines


@pytest.mark.parametrize("written", ["scalesets", "scale-set", "scale_sets"])
def test_misspelt_scale_sets_are_one_error_and_read_all_the_same(error_lines: Lines, written: str) -> None:
    assert error_lines(f"[[{written}]]\n{MINIMAL}") == [
        f"config.toml:1: [[{written}]] is not a table of runscaler"
    ]


def test_a_local_file_with_misspelt_scale_sets_is_not_skipped(locations: Locations) -> None:
    locations.local.parent.mkdir()
    locations.local.write_text("[[scale-sets]]\n" + MINIMAL)

    with pytest.raises(ConfigError, match=r"\[\[scale-sets\]\] is not a table"):
        load_config(environ=TOKEN, locations=locations)


def test_required_keys_below_a_table_are_misplaced_not_missing(error_lines: Lines) -> None:
    (first, second) = error_lines(f"[docker]\nmemory = 1\n{MINIMAL}")

    assert first == (
        "config.toml:3: unknown key [docker] url: what stands below [docker] belongs to it; "
        "move url above [docker]"
    )
    assert second.startswith("config.toml:4: unknown key [docker] name: ")


def test_levels_ignore_case(load: Load) -> None:
    assert load(f'log-level = "INFO"\n{MINIMAL}').log_level == "info"
    assert load(MINIMAL, flags={"log-level": "Warn"}).log_level == "warn"


def test_url_and_name_are_required(error_lines: Lines) -> None:
    assert error_lines("max-runners = 1\n") == ["config.toml: url and name are missing"]
    assert error_lines('[[scaleset]]\nname = "a"\n') == ["config.toml:1: url is missing"]


def test_a_schedule_is_checked_window_by_window(error_lines: Lines, load: Load) -> None:
    good = '{ cron = "0 8 * * 1-5", duration = "10h", timezone = "Europe/Berlin", min-runners = 2 }'
    bad = '{ cron = "never", duration = 0, zone = "x" }'

    assert load(f"{MINIMAL}schedule = [{good}]").scale_sets[0].schedule[0].min_runners == 2
    lines = error_lines(f"{MINIMAL}schedule = [{bad}]")
    assert [line.split(": ")[1:3] for line in lines] == [
        ["schedule, entry 1", "cron"],
        ["schedule, entry 1", "duration"],
        ["schedule, entry 1", "unknown key zone; did you mean timezone?"],
    ]
    (above,) = error_lines(
        f'{MINIMAL}schedule = [{{ cron = "0 8 * * *", duration = "1h", min-runners = 99 }}]'
    )
    assert above.endswith("schedule, entry 1: min-runners (99) is above max-runners (10)")


@pytest.mark.parametrize("backend", ["tart", "orchard"])
def test_vms_have_no_default_image(error_lines: Lines, load: Load, backend: str) -> None:
    text = f'{MINIMAL}backend = "{backend}"\n'

    assert error_lines(text) == [f"config.toml:3: runner-image is missing: there is no default for {backend}"]
    assert load(f'{text}runner-image = "vm"\n').scale_sets[0].runner_image == "vm"


def test_an_app_is_never_for_an_enterprise(error_lines: Lines) -> None:
    text = """\
url = "https://github.com/enterprises/big"
name = "linux"
app = { client-id = "Iv1", installation-id = 5, private-key = "env:KEY" }
"""

    (line,) = error_lines(text, environ={"KEY": private_key()})

    assert line.startswith("config.toml:3: [app] with an enterprise URL")


def test_an_incomplete_app_names_what_is_missing(error_lines: Lines) -> None:
    lines = error_lines(f"{MINIMAL}[app]\nclient-id = 123\n")

    assert lines == [
        "config.toml:4: [app]: private-key is missing",
    ]


def test_an_invalid_key_of_an_app_is_not_called_missing_too(error_lines: Lines) -> None:
    text = f'{MINIMAL}[app]\nclient-id = ""\nprivate-key = "env:KEY"\n'

    (line,) = error_lines(text, environ={"KEY": private_key()})

    assert line.startswith('config.toml:4: [app] client-id: "" is not valid')


def test_an_app_id_may_be_a_number(load: Load) -> None:
    text = f'{MINIMAL}[app]\nclient-id = 123\nprivate-key = "env:KEY"\n'

    (settings,) = load(text, environ={"KEY": private_key()}).scale_sets

    assert settings.app is not None
    assert (settings.app.client_id, settings.app.installation_id) == ("123", None)
    assert settings.app.private_key.reveal() == private_key().strip()


@pytest.mark.parametrize("client_id", ["Iv1. 0a", "Iv1,0a", " ", "Iv1.0a\\n"])
def test_a_client_id_with_a_stray_character_is_an_error(error_lines: Lines, client_id: str) -> None:
    text = f'{MINIMAL}[app]\nclient-id = "{client_id}"\nprivate-key = "env:KEY"\n'

    (line, *_) = error_lines(text, environ={"KEY": private_key()})

    assert line.startswith("config.toml:4: [app] client-id: ")


def test_for_an_unknown_backend_a_similar_one_is_suggested(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f'{MINIMAL}backend = "dokcer"')

    assert caught.value.findings[0].fixes == ("did you mean docker?",)


def test_http_to_another_host_is_a_warning(load: Load) -> None:
    text = 'url = "http://ghe.example.com/o"\nname = "n"\n'

    assert "in the clear" in load(text).warnings[0].message


def test_labels_without_the_name_are_warned_about(load: Load) -> None:
    config = load(f'{MINIMAL}labels = ["gpu", "x64"]')

    assert config.warnings[0].message.endswith(
        "labels does not contain the name: jobs must use runs-on [gpu, x64], not linux"
    )


def test_certificate_and_key_must_be_set_together(error_lines: Lines) -> None:
    assert "must be set together" in error_lines(f'{MINIMAL}[docker]\ntls-cert = "x"\n')[0]


def test_more_runners_than_vms_is_warned_about(load: Load) -> None:
    config = load(f'{MINIMAL}backend = "tart"\nrunner-image = "x"\n')

    assert "above [tart] max-vms (2)" in config.warnings[0].message


def test_a_larger_pool_than_vms_is_warned_about_where_it_is_set(load: Load) -> None:
    tart = f'{MINIMAL}backend = "tart"\nrunner-image = "x"\nmax-runners = 2\n[tart]\npool-size = 3\n'

    (warning,) = load(tart).warnings

    assert "config.toml:7: [tart] pool-size (3) is above [tart] max-vms (2)" in warning.message
    assert load(f"{tart}max-vms = 3\n").warnings == ()


@pytest.mark.parametrize(
    ("docker", "environ", "endpoint"),
    [
        ("", {}, "unix:///var/run/docker.sock"),
        ("", {"DOCKER_HOST": "tcp://h:1"}, "tcp://h:1"),
        ('socket = "/s"', {"DOCKER_HOST": "tcp://h:1"}, "unix:///s"),
        ('socket = ""', {"DOCKER_HOST": "tcp://h:1"}, "tcp://h:1"),
        ('host = "ssh://me@h"', {"DOCKER_HOST": "tcp://h:1"}, "ssh://me@h"),
        ('socket = "/s"\nhost = "unix:///h"', {}, "unix:///h"),
    ],
)
def test_docker_host_is_used_if_the_file_names_no_engine(
    load: Load, docker: str, environ: dict[str, str], endpoint: str
) -> None:
    config = load(f"{MINIMAL}[docker]\n{docker}\n", environ={**TOKEN, **environ})

    assert config.scale_sets[0].docker.endpoint == endpoint


def test_docker_host_brings_its_certificates(load: Load) -> None:
    environ = {"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}

    docker = load(MINIMAL, environ={**TOKEN, **environ}).scale_sets[0].docker

    assert (docker.tls_ca, docker.tls_cert, docker.tls_key) == (
        "/certs/ca.pem",
        "/certs/cert.pem",
        "/certs/key.pem",
    )


def test_an_invalid_docker_host_is_an_error(error_lines: Lines) -> None:
    lines = error_lines(MINIMAL, environ={**TOKEN, "DOCKER_HOST": "nowhere"})

    assert lines == [
        'DOCKER_HOST: "nowhere" is not valid: expected a URL that begins with unix://, tcp:// or ssh://'
    ]


def test_dind_mounts_the_socket_of_the_engine_by_default(load: Load) -> None:
    def mounted(docker: str) -> str:
        return load(f"{MINIMAL}[docker]\n{docker}\n").scale_sets[0].docker.dind_path

    assert mounted("") == "/var/run/docker.sock"
    assert mounted('socket = "/s"') == "/s"
    assert mounted('host = "unix:///h"') == "/h"
    assert mounted('host = "tcp://h:1"') == "/var/run/docker.sock"
    assert mounted('dind-socket = "/d"') == "/d"


def test_a_relative_state_dir_starts_beside_the_file(load: Load, tmp_path: Path) -> None:
    assert load(f'state-dir = "state"\n{MINIMAL}').state_dir == tmp_path / "state"


def test_the_shipped_examples_load() -> None:
    conf = Path(__file__).parents[2] / "conf"
    environ = {**TOKEN, "MY_ORG_TOKEN": "a", "OTHER_ORG_TOKEN": "b"}

    single = load_config(conf / "config.example.toml", environ=environ)
    multi = load_config(conf / "multi.example.toml", environ=environ)

    assert [settings.docker.memory for settings in multi.scale_sets] == [4096, 16384]
    assert all("RUNNER_TOKEN" in finding.message for finding in multi.warnings)
    assert single.warnings == ()


@pytest.mark.parametrize("name", ["ghes.example.toml", "docker/config.example.toml"])
def test_the_other_shipped_examples_load_and_are_not_ahead_of_this_version(name: str) -> None:
    config = load_config(Path(__file__).parents[2] / "conf" / name, environ={**TOKEN})

    assert config.warnings == ()
    assert missing_features(config) == []


def test_the_shipped_tart_example_loads() -> None:
    path = Path(__file__).parents[2] / "conf/tart.example.toml"

    config = load_config(path, environ={**TOKEN})

    (macos, large) = config.scale_sets
    assert config.warnings == ()
    assert missing_features(config) == []
    assert (macos.tart.pool_size, large.tart.pool_size) == (1, 0)
    assert (macos.tart.cpu, large.tart.cpu, large.tart.memory) == (4, 8, 16384)
    assert {one.tart.max_vms for one in config.scale_sets} == {2}


TOO_LARGE = "a whole number has more than 64 bits"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "max-runners = " + "9" * 5000,
            "config.toml: this is not TOML: a whole number has more than 64 bits",
        ),
        (
            f"{MINIMAL}max-runners = " + "9" * 400,
            f"config.toml:3: this is not TOML: {TOO_LARGE}",
        ),
        (
            f"{MINIMAL}[docker]\nmemory = [1, -9223372036854775809]",
            f"config.toml:4: this is not TOML: {TOO_LARGE}",
        ),
        ("# " + "x" * 2**20, "config.toml: it cannot be read: it is larger than 1 MiB"),
    ],
    ids=["digits", "integer", "nested", "comments"],
)
def test_what_is_too_large_is_refused_in_one_line(error_lines: Lines, text: str, message: str) -> None:
    assert error_lines(text) == [message]


def test_a_key_that_leads_too_deep_is_refused(error_lines: Lines) -> None:
    assert error_lines(".".join("a" * 20_000) + " = 1") == [
        "config.toml: this is not a configuration: its values are nested too deeply"
    ]


@pytest.mark.parametrize("size", ["9" * 400 + "GiB", "9" * 35])
def test_a_size_that_no_disk_has_is_refused(error_lines: Lines, size: str) -> None:
    (line,) = error_lines(f'{MINIMAL}[host]\nmin-free-disk = "{size}"')

    assert "min-free-disk" in line
    assert len(line) < 250


@pytest.mark.parametrize("timeout", ['"9999999999999999h"', "9" * 15])
def test_a_time_that_nobody_waits_is_refused(error_lines: Lines, timeout: str) -> None:
    (line,) = error_lines(f"{MINIMAL}drain-timeout = {timeout}")

    assert "longer than 100 years" in line
