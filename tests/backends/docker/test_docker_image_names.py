from __future__ import annotations

import pytest

from runscaler.backends.docker.image_names import familiar


@pytest.mark.parametrize("prefix", ["", "localhost/", "docker.io/library/"])
def test_an_engines_spelling_of_a_name_is_made_ours(prefix):
    assert familiar(f"{prefix}runscaler-demo:1") == "runscaler-demo:1"


def test_a_name_with_a_registry_keeps_it():
    assert familiar("ghcr.io/actions/actions-runner:latest") == "ghcr.io/actions/actions-runner:latest"
    assert familiar("docker.io/my/runner:1") == "my/runner:1"
