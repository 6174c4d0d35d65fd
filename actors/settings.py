"""The settings of an instance: what an operator may choose, checked before anything starts.

They come, weakest first, from defaults, `denrei.yaml`, the environment (`DENREI_GRPC_PORT=…`) and
the command line. Actors get them as one plain map, so that a restarted actor has what the first
one had.
"""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from actors.clock import make_clock
from actors.placement import POOLS
from engine import limits

CONFIG_FILE = "denrei.yaml"


class TlsSettings(BaseModel):
    """Where the gateway's certificate lies."""

    certificate: Path
    private_key: Path
    client_ca: Path | None = None


class Settings(BaseSettings):
    """Everything an operator may choose; see docs/operations.md."""

    model_config = SettingsConfigDict(
        env_prefix="DENREI_", env_nested_delimiter="__", extra="forbid", validate_default=True
    )

    store: Path = Field(Path(".denrei"), description="The directory of the store.")
    hosts: Annotated[int, Field(ge=1, le=limits.HOSTS)] = Field(
        default_factory=lambda: max(1, min(os.cpu_count() or 1, 16)),
        description="Shard hosts; about one per core.",
    )
    shards: Annotated[int, Field(ge=0, le=limits.SLOTS)] = Field(
        0, description="Shards; fixed when a store is created. 0: what it has, or two per host."
    )
    gateways: Annotated[int, Field(ge=1, le=limits.GATEWAYS)] = 1
    senders: dict[str, int] = Field(
        default_factory=lambda: dict.fromkeys(POOLS, 1),
        description="Sender actors per pool (sms: all phone channels); fixed at its first start.",
    )
    callers: Annotated[int, Field(ge=1, le=limits.CALLERS)] = Field(
        1, description="Actors that make the webhooks of journeys."
    )
    webhook_allow: list[str] = Field(
        default_factory=list,
        description="Networks that webhooks may go to although they are not public: 10.1.0.0/16.",
    )
    webhook_secrets: dict[str, dict[str, SecretStr]] = Field(
        default_factory=dict,
        description="What signs webhooks or stands in their headers, by workspace and name.",
    )
    carrier_secrets: dict[str, dict[str, SecretStr]] = Field(
        default_factory=dict,
        description="What lanes prove themselves with to carriers, by workspace and name.",
    )
    carrier_allow: list[str] = Field(
        default_factory=list,
        description="Networks that carriers over HTTP may be in although they are not public.",
    )
    bind: str = Field("127.0.0.1", description="The address that gateways listen on.")
    grpc_port: Annotated[int, Field(ge=0, le=65_535)] = 50_051
    http_port: Annotated[int, Field(ge=0, le=65_535)] = 50_052
    public_url: str = Field("", description="How carriers reach the HTTP port from outside.")
    tls: TlsSettings | None = None
    clock: str = Field("system", description="'system', 'event', or a factor such as '60x'.")
    hot_entities: Annotated[int, Field(ge=100)] = limits.HOT_ENTITIES
    archive_days: Annotated[int, Field(ge=0)] = limits.ARCHIVE_DAYS
    archive_bytes: Annotated[int, Field(ge=0)] = limits.ARCHIVE_BYTES
    dashboard: bool = Field(True, description="Whether Ray's dashboard runs.")
    dashboard_port: Annotated[int, Field(ge=0, le=65_535)] = 8_265
    ray_address: str = Field("", description="A running Ray cluster; empty: start one here.")

    @field_validator("clock")
    @classmethod
    def _clock(cls, value: str) -> str:
        make_clock(value, 0)
        return value

    @field_validator("senders")
    @classmethod
    def _senders(cls, value: dict[str, int]) -> dict[str, int]:
        for channel, count in value.items():
            if channel not in POOLS:
                msg = f"no pool of senders {channel!r}; there are {', '.join(POOLS)}"
                raise ValueError(msg)
            if not 1 <= count <= limits.SENDERS_PER_CHANNEL:
                msg = f"{count} senders for {channel}: choose 1 to {limits.SENDERS_PER_CHANNEL}"
                raise ValueError(msg)
        missing = [channel for channel in POOLS if channel not in value]
        return {**value, **dict.fromkeys(missing, 1)}

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query):
            msg = f"{value!r} is not an address such as https://denrei.example.com"
            raise ValueError(msg)
        return value.rstrip("/")

    @model_validator(mode="after")
    def _free_ports(self) -> "Settings":
        """Whoever takes a free port for gRPC does not want a fixed one for HTTP."""
        if self.grpc_port == 0 and "http_port" not in self.model_fields_set:
            self.http_port = 0
        if self.grpc_port and self.grpc_port == self.http_port:
            msg = f"grpc_port and http_port are both {self.grpc_port}: choose another for one"
            raise ValueError(msg)
        return self

    @field_validator("carrier_secrets", "webhook_secrets")
    @classmethod
    def _said(cls, value: dict[str, dict[str, SecretStr]]) -> dict[str, dict[str, SecretStr]]:
        """An empty secret would make everybody's signature a good one."""
        for workspace, named in value.items():
            for name, one in named.items():
                if not one.get_secret_value().strip():
                    msg = f"the secret {name!r} of workspace {workspace!r} is empty"
                    raise ValueError(msg)
        return value

    @field_validator("webhook_allow", "carrier_allow")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for one in value:
            ipaddress.ip_network(one)
        return value

    @model_validator(mode="after")
    def _shard_count(self) -> "Settings":
        if 0 < self.shards < self.hosts:
            msg = f"{self.hosts} hosts need at least as many shards, not {self.shards}"
            raise ValueError(msg)
        return self

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the gateway."""
        if self.bind == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.bind).is_loopback
        except ValueError:
            return False

    @property
    def http_url(self) -> str:
        """Under which address the HTTP door is called: the public one, or that of this machine."""
        if self.public_url:
            return self.public_url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind, self.bind)
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self.tls else 'http'}://{host}:{self.http_port}"

    def plain(self, shards: int, clock_origin_ms: int = 0) -> dict[str, Any]:
        """The settings as plain values, for actors.

        Args:
            shards: How many shards the store has.
            clock_origin_ms: The origin of a scaled clock; see `actors.store.pinned`.
        """
        values = self.model_dump(mode="json")
        values["webhook_secrets"] = {
            workspace: {name: one.get_secret_value() for name, one in named.items()}
            for workspace, named in self.webhook_secrets.items()
        }
        values["store"] = str(self.store.resolve())
        values["shards"] = shards
        values["clock_origin_ms"] = clock_origin_ms
        values["carrier_secrets"] = {
            workspace: {name: one.get_secret_value() for name, one in named.items()}
            for workspace, named in self.carrier_secrets.items()
        }
        values["http_url"] = self.http_url
        return values

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, then environment, then denrei.yaml."""
        path = Path(os.environ.get("DENREI_CONFIG", CONFIG_FILE))
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=path)


def read_config(path: Path) -> dict[str, Any]:
    """The values of a configuration file, for `denrei` to show where they come from."""
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}
