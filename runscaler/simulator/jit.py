"""JIT configurations in GitHub's format, with credentials of our own (docs/protocol.md § 8.1, 9.4)."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.simulator.records import Runner

RSA_KEYS = ("d", "dp", "dq", "exponent", "inverseQ", "modulus", "p", "q")


def encode(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


RSA_PARAMETERS = encode(dict.fromkeys(RSA_KEYS, "AQAB"))


def encoded_jit_config(runner: Runner, agent_url: str, config_url: str) -> str:
    """The base64 of a JSON object that maps file names to the base64 of their content."""
    files = {
        ".runner": runner_file(runner, agent_url, config_url),
        ".credentials": {
            "Scheme": "RunscalerSimulator",
            "Data": {"clientId": runner.client_id, "secret": runner.secret},
        },
    }
    encoded = {name: encode(content) for name, content in files.items()}
    return encode({**encoded, ".credentials_rsaparams": RSA_PARAMETERS})


def runner_file(runner: Runner, agent_url: str, config_url: str) -> dict[str, object]:
    return {
        "AgentId": runner.id,
        "AgentName": runner.name,
        "PoolId": 0,
        "PoolName": "Default",
        "ServerUrl": agent_url,
        "ServerUrlV2": agent_url,
        "UseV2Flow": True,
        "UseRunnerAdminFlow": False,
        "Ephemeral": True,
        "DisableUpdate": runner.scale_set.disable_update,
        "WorkFolder": runner.work_folder,
        "SkipSessionRecover": True,
        "GitHubUrl": config_url,
    }
