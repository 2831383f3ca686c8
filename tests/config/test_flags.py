from __future__ import annotations

from runscaler.config.base import Scope
from runscaler.config.flags import flags
from runscaler.config.schema import Kind

SPEC = """
--url --name --token --backend --max-runners --min-runners --labels --runner-group --runner-image
--docker-socket --dind --shared-volume --docker-memory --docker-cpu --docker-platform
--tart-cpu --tart-memory --tart-runner-dir --tart-pool-size --log-level --log-format --dry-run
--health-port --health-host --drain-timeout --on-exit
"""


def test_the_flags_are_exactly_the_documented_ones() -> None:
    names = [f"--{flag.name}" for flag in flags()]

    assert sorted(names) == sorted(SPEC.split())


def test_a_flag_has_its_key_and_its_type() -> None:
    by_name = {flag.name: flag for flag in flags()}

    assert by_name["docker-memory"].path == ("docker", "memory")
    assert by_name["shared-volume"].path == ("docker", "shared-volume")
    assert by_name["drain-timeout"].kind is Kind.DURATION
    assert by_name["log-level"].choices == ("debug", "info", "warn", "error")
    assert by_name["token"].secret
    assert by_name["labels"].is_list
    assert by_name["min-runners"].scope is Scope.IDENTITY
    assert by_name["health-port"].scope is Scope.GLOBAL
    assert {name for name, flag in by_name.items() if flag.is_boolean} == {"dind", "dry-run"}


def test_every_flag_has_a_sentence_of_help() -> None:
    assert all(flag.help and not flag.help.endswith(".") for flag in flags())
