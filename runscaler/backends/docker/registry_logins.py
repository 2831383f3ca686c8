"""Which login goes to a registry: the settings' one, else that of the Docker configuration of this program's
user, which may ask a credential helper."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from docker.auth import AuthConfig, load_config
from loguru import logger

from runscaler.backends.docker.credential_helper import NoHelper, ask_helper
from runscaler.backends.docker.engine import users_docker_config
from runscaler.config.registries import DOCKER_HUB, registry_host
from runscaler.config.secrets import Secret, Unresolved, resolve
from runscaler.errors import ImageMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.backends import RegistryCredential
    from runscaler.interrupt import Interrupt

HUB_ADDRESS = "https://index.docker.io/v1/"
"""By this name engines know that a login is for Docker Hub."""
FROM_SETTINGS = "[docker] registry-auth"
_SECRET_PARTS = ("password", "secret", "token", "auth")
HELPER_SECONDS = 30.0
"""One that asks a cloud for a password of some hours takes a few."""
SHORTEST_SECRET = 4
"""What is shorter is not masked: it would be found in half of all words."""


@dataclass(frozen=True, slots=True)
class GivenLogin:
    """An entry of `registry-auth`; `host` in its one spelling."""

    host: str
    user: Secret
    password: Secret


GivenLogins = tuple[GivenLogin, ...]


def given_logins(auth: Mapping[str, RegistryCredential]) -> GivenLogins:
    return tuple(
        GivenLogin(registry_host(host), one.user or Secret(""), one.password or Secret(""))
        for host, one in sorted(auth.items())
    )


@dataclass(frozen=True, slots=True)
class Login:
    """What the engine is sent. Empty: nothing, so that it uses none. None: nothing is known; an engine with
    logins of its own, as Podman has, uses those. `source` says where it is from."""

    sent: Mapping[str, str] | None = field(default=None, repr=False)
    source: str = ""

    def masked(self, text: str) -> str:
        """A text of others, which may repeat what they were sent."""
        for name, value in (self.sent or {}).items():
            if any(part in name.lower() for part in _SECRET_PARTS) and len(value) >= SHORTEST_SECRET:
                text = text.replace(value, Secret.MASK)
        return text


def find_login(
    registry: str, given: GivenLogins, doing: str, interrupt: Interrupt, seconds: float = HELPER_SECONDS
) -> Login:
    """Looked for at each pull: logins change while the daemon runs, some every twelve hours.

    `doing` is for messages and follows "cannot"; `seconds` is for a credential helper. Raises `BackendError`
    for a Docker configuration that cannot be read and for a helper that fails, and `Interrupted`. A helper
    that is not there is warned about: perhaps no login is needed.
    """
    for one in given:
        if one.host == registry:
            sent = {
                "username": _of_now(one.user),
                "password": _of_now(one.password),
                "serveraddress": HUB_ADDRESS if registry == DOCKER_HUB else registry,
            }
            return Login(sent, FROM_SETTINGS)
    with users_docker_config():
        config = load_config()
        helper = config.get_credential_store(registry)
        found = AuthConfig({"auths": config.auths}).resolve_authconfig(registry)
    if helper:
        address = HUB_ADDRESS if registry == DOCKER_HUB else registry
        try:
            found = ask_helper(str(helper), address, doing, seconds, interrupt) or found
        except NoHelper as error:
            logger.warning("{}: trying without a login", error)
            return Login({})
    texts = {name: value for name, value in (found or {}).items() if isinstance(value, str)}
    return Login(texts, "the Docker configuration") if texts else Login()


def _of_now(secret: Secret) -> str:
    """What `file:PATH` holds now."""
    if secret.file is None:
        return secret.reveal()
    try:
        return resolve(f"file:{secret.file}", {}, Path())
    except Unresolved as error:
        raise ImageMissing(f"{FROM_SETTINGS}: {error}") from error
