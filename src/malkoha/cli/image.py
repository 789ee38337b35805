"""``malkoha image``: guest images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from malkoha.cli import terminal

if TYPE_CHECKING:
    from malkoha.config import Settings
    from malkoha.machinery.image import Image
    from malkoha.store import Home

app = typer.Typer(name="image", no_args_is_help=False, help="Build, list, look into and remove guest images.")

Name = Annotated[str, typer.Argument(help="The image.", metavar="NAME")]


@app.command()
def build(
    name: Annotated[str, typer.Option(help="What to call it.", metavar="NAME")] = "default",
    packages: Annotated[
        str, typer.Option(help="Debian packages on top, separated by commas or spaces.", metavar="LIST")
    ] = "",
    debug: terminal.Debug = False,
) -> None:
    """Build a guest image from Debian packages; one that is there and up to date takes no time.

    \b
    Examples:
      malkoha image build
      malkoha image build --name web --packages nginx,php-cli
    """
    home, settings = terminal.surroundings()
    image = build_image(home, settings, name, packages.replace(",", " ").split())
    print(f"{image.name}\t{image.id}\t{_mib(sum(_own(image).values()))}")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False, debug: terminal.Debug = False
) -> None:
    """List the images.

    \b
    Examples:
      malkoha image list
      malkoha image list --json
    """
    from malkoha.machinery import image

    home, _ = terminal.surroundings()
    images = image.list_images(home)
    if as_json:
        terminal.write_json([image.inspect(home, each.name) for each in images])
        return
    rows = [
        (
            each.name,
            each.id[:12],
            each.kernel_release,
            f"{each.created_at:%Y-%m-%d %H:%M}",
            _mib(sum(_own(each).values())),
        )
        for each in images
    ]
    terminal.table(("name", "id", "kernel", "made (UTC)", "size"), rows)


@app.command()
def inspect(name: Name = "default", debug: terminal.Debug = False) -> None:
    """Show all that is known of an image, as JSON: its packages with versions, files, sources and tracer modules.

    \b
    Examples:
      malkoha image inspect
      malkoha image inspect web | jq .installed
    """
    from malkoha.machinery import image

    home, _ = terminal.surroundings()
    terminal.write_json(image.inspect(home, name))


@app.command()
def remove(name: Name, debug: terminal.Debug = False) -> None:
    """Remove an image and what no other image needs; the next analysis with it builds it anew.

    \b
    Examples:
      malkoha image remove web
    """
    from malkoha.machinery import image

    home, _ = terminal.surroundings()
    print(f"{_mib(image.remove(home, name))} freed")


def build_image(home: Home, settings: Settings, name: str, packages: Sequence[str]) -> Image:
    """Build an image and arm the default engine on it, so that the next analysis starts at once; show progress."""
    from malkoha import arming
    from malkoha.guest import payload
    from malkoha.machinery import image as images

    files = payload.bootstrap_files()
    with terminal.progress() as progress:
        built = images.build(home, settings.guest, name=name, packages=packages, files=files, progress=progress)
        arming.armed(built, "tracepoint", home, settings, progress)
    return built


def _own(image: Image) -> dict[str, int]:
    return {part: size for part, size in image.sizes.items() if part != "disk_virtual"}


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
