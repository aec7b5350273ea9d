"""Define `procman completion`."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes procman in bash, zsh or fish.

    It completes commands, options, program names, projects, generations, and the codes and pages of `procman explain`.
    Write it to a file where your shell looks for it; a new shell then uses it. Without root that is
    ~/.local/share/bash-completion/completions/procman for bash, which needs the package bash-completion and version
    4.4 or later, and a directory in $fpath for zsh.

    \b
    Examples:
      # bash, for every user of the host
      procman completion bash > /etc/bash_completion.d/procman
      # zsh, with fpath+=~/.zfunc before compinit in ~/.zshrc
      procman completion zsh > ~/.zfunc/_procman
      # fish, in ~/.config/fish/completions
      procman completion fish > procman.fish
    """
    from click.shell_completion import BashComplete, get_completion_class

    found = get_completion_class(shell)
    assert found
    script = found(context.find_root().command, {}, "procman", "_PROCMAN_COMPLETE")
    # Not source(), which runs this machine's bash to compare its version.
    text = found.source_template % script.source_vars() if found is BashComplete else script.source()
    click.echo(text)
