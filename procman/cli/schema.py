"""`procman schema`."""

from __future__ import annotations

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of procman.toml, for editors.

    Save it as procman.schema.json and put `#:schema ./procman.schema.json` into the first line of procman.toml.
    """
    from procman.config.schema import schema as schema_of_keys

    click.echo(json.dumps(schema_of_keys(), indent=2))
