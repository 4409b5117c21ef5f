"""`loader show`: what the model will see, as a picture and in words."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from loader.errors import LoaderError
from loader.train.show.contact_sheet import ContactSheet
from loader.train.show.samples import take_from_source
from loader.watch.describe import meant
from loader.watch.session import INTERRUPTED, check_writable

_DEFAULT_PNG = Path("loader-show.png")


@click.command()
@click.argument("target", metavar="SCRIPT:FUNCTION")
@click.option("--samples", type=click.IntRange(1), default=16, show_default=True, help="Number of samples.")
@click.option("--epochs", type=click.IntRange(1), default=1, show_default=True, help="Show each sample in so many epochs, beside each other.")
@click.option(
    "--png",
    "png_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Write the picture to this file. Default: {_DEFAULT_PNG}, unless --json is given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def show(target: str, samples: int, epochs: int, png_path: Path | None, as_json: bool) -> None:
    """Draw what the model will see: samples behind all transforms.

    SCRIPT:FUNCTION names a function of the script that returns the loader: its first samples are shown, as in the first epoch. If it returns a
    source, or if there is a PATH in its place, as for `loader describe`, samples from everywhere in the data are shown, as they are.

    Prints what the samples hold: shapes, dtypes, ranges of values, and how they are drawn. With --epochs, a row is a sample and a column an epoch,
    so the random transforms can be seen. Everything runs in one process.

    \b
    Examples:
      loader show train.py:make_loader
      loader show train.py:make_loader --samples 4 --epochs 5 --png augmented.png
      loader show photos
    """
    path = png_path or (None if as_json else _DEFAULT_PNG)
    try:
        check_writable(path)
        sheet = _sheet(target, samples, epochs)
        if path is not None:
            sheet.save(path)
    except (LoaderError, OSError) as error:
        click.echo(f"loader show: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        click.echo(json.dumps(sheet.as_dict() | {"png": None if path is None else str(path)}))
        return
    click.echo(sheet)
    click.echo(f"The picture is in {path}.")


def _sheet(target: str, samples: int, epochs: int) -> ContactSheet:
    source, loader = meant(target)
    if loader is not None:
        return loader.show(samples, epochs)
    if epochs > 1:
        raise click.UsageError(f"--epochs {epochs}: a source has no random transforms, so it is the same in every epoch; return a Loader")
    return ContactSheet(take_from_source(target, source, samples))
