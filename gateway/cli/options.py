"""Options that several commands share, so that they are called the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Address = Annotated[
    str,
    typer.Option(
        "--address", "-a", envvar="DENREI_ADDRESS", metavar="HOST:PORT",
        help="The gateway. Left out: that of the instance that runs on the store.",
    ),
]  # fmt: skip
Key = Annotated[
    str,
    typer.Option(
        "--key", envvar="DENREI_API_KEY", metavar="dk_...", show_envvar=True,
        help="The API key. Left out: the store's development key.",
    ),
]  # fmt: skip
Store = Annotated[
    Path,
    typer.Option(
        "--store", "-s", envvar="DENREI_STORE", metavar="DIR", help="The directory of the store."
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        "--ca", envvar="DENREI_CA", metavar="FILE",
        help="Speak TLS, and trust the certificates in this file.",
    ),
]  # fmt: skip
Timeout = Annotated[
    float,
    typer.Option("--timeout", min=0.1, metavar="SECONDS", help="How long to try, in all."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]

DEFAULT_STORE = Path(".denrei")
DEFAULT_TIMEOUT_S = 20.0
