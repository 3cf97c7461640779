"""Command-line arguments and options that several commands share."""

from typing import Annotated

import typer

Named = Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a shipped one.")]
Variant = Annotated[
    str | None, typer.Option("--scenario", metavar="NAME", help="A named scenario of the file's `scenarios:`.")
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Set one value; may be repeated.")
]
