"""`denrei lint`: checks definition files without an instance."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from engine import definitions
from engine.definitions import Document
from engine.issues import DefinitionError, Issue
from engine.lint import check
from gateway.cli import options
from gateway.cli.apply import read_sources
from gateway.cli.errors import REFUSED
from gateway.cli.output import print_json, say

app = typer.Typer()


@app.command()
def lint(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Files, or directories of them.")
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail, too.")] = False,
    json: options.Json = False,
) -> None:
    """Check definition files: all errors that `denrei apply` would tell, and warnings.

    Example: `denrei lint examples/cdnow`

    Name all files that belong together: what they use of each other must be among them. No
    instance is needed.

    Exit codes: 0 they hold together; 5 they do not (with --strict: or there is a warning).
    """
    documents, errors = _parse(files)
    warnings: list[Issue] = []
    if not errors:
        try:
            warnings = check(documents)
        except DefinitionError as error:
            errors = error.issues
    for severity, issues in (("error", errors), ("warning", warnings)):
        for issue in issues:
            if json:
                print_json(_plain(severity, issue))
            else:
                say(_line(severity, issue))
    if not json:
        say(_summary(documents, errors, warnings))
    if errors or (strict and warnings):
        raise typer.Exit(REFUSED)


def _parse(paths: list[Path]) -> tuple[list[Document], list[Issue]]:
    """All documents of some files, and what keeps others from being read."""
    documents: list[Document] = []
    errors: list[Issue] = []
    for source in read_sources(paths):
        try:
            documents += definitions.parse(source.yaml or source.json, source.filename)
        except DefinitionError as error:
            errors += error.issues
    return documents, errors


def _line(severity: str, issue: Issue) -> str:
    place = issue.source or issue.where
    words = str(issue).removeprefix(f"{place}: ")
    return f"{place}: {severity}: {words}"


def _plain(severity: str, issue: Issue) -> dict[str, Any]:
    return {
        "severity": severity,
        "source": issue.source,
        "where": issue.where,
        "field": issue.field,
        "what": issue.what,
        "hint": issue.hint,
    }


def _summary(
    documents: Sequence[Document], errors: Sequence[Issue], warnings: Sequence[Issue]
) -> str:
    counts = (("definition", len(documents)), ("error", len(errors)), ("warning", len(warnings)))
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts)
