"""Define `procman schema`."""

from __future__ import annotations

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of procman.toml, for editors.

    Editors then complete the keys of procman.toml and mark mistakes. Name the schema in the first line of procman.toml:
    `#:schema ./procman.schema.json`.

    \b
    Examples:
      # Write the schema beside procman.toml
      procman schema > procman.schema.json
    """
    from procman.config.schema import schema as schema_of_keys

    click.echo(json.dumps(schema_of_keys(), indent=2))
