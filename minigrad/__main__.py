"""The command line: ``python -m minigrad COMMAND``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from minigrad.core.errors import did_you_mean

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit status; without a command, print the help.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Raises
    ------
    SystemExit
        With status 2, for arguments that cannot be understood; with status 0, after ``--help``.

    Examples
    --------
    >>> main(["--help"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    SystemExit: 0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m minigrad", description="A small NumPy autograd framework.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_demo(commands)
    _add_draw(commands, arguments[:1] == ["draw"])
    if not arguments:
        parser.print_help()
        return 0
    if not arguments[0].startswith("-") and arguments[0] not in commands.choices:
        # argparse would list the commands; the nearest one is more help
        parser.error(f'unknown command "{arguments[0]}"{did_you_mean(arguments[0], commands.choices)}')
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "train a network on the embedded digits and draw it"
    parser = commands.add_parser("demo", help=about, description=about[0].upper() + about[1:] + ".")
    parser.add_argument("--out", default="out", metavar="DIR", help="folder for the files (default: out)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of weights and batches (default: 0)")
    parser.set_defaults(run=_run_demo)


def _run_demo(options: argparse.Namespace) -> int:
    from minigrad import demo  # only this command pays for it

    demo.main(out=options.out, seed=options.seed)
    return 0


def _add_draw(commands: argparse._SubParsersAction[argparse.ArgumentParser], chosen: bool) -> None:
    about = "draw a model or a function of a file, as a page to look into or as a picture"
    parser = commands.add_parser("draw", help=about, description=about[0].upper() + about[1:] + ".")
    if chosen:  # only this command pays for it
        from minigrad.draw import command

        command.add_arguments(parser)
        parser.set_defaults(run=command.run)


if __name__ == "__main__":
    sys.exit(main())
