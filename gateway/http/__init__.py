"""The HTTP door of a gateway: what carriers and mail programs call, one handler a file."""
