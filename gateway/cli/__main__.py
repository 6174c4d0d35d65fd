"""`python -m gateway.cli` is `denrei`, also where no scripts are installed."""

from gateway.cli.main import app

app()
