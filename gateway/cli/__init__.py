"""The `denrei` command: one file a command, and what they share.

`main` names the commands and turns errors into sentences; `client` talks to a running instance;
`history` reads recorded events from files. Only `up` knows Ray.
"""
