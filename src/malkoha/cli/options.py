"""The options that say how a sample is run, shared by ``analyze`` and ``submit``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from malkoha.errors import SubmitError

if TYPE_CHECKING:
    from malkoha.config import Settings
    from malkoha.model.task import Options
    from malkoha.store import Home

Timeout = Annotated[
    float | None, typer.Option(help="Longest run, in seconds.", metavar="S", show_default="120, a setting")
]
Package = Annotated[str | None, typer.Option(help="How to start it.", metavar="NAME", show_default="the one that fits")]
Arguments = Annotated[str, typer.Option(help="Its command-line arguments, split like a shell does.", metavar="TEXT")]
Option = Annotated[list[str] | None, typer.Option(help="An option for the package; repeatable.", metavar="KEY=VALUE")]
User = Annotated[str, typer.Option(help="The user of the guest that runs it.", metavar="NAME")]
Network = Annotated[
    str | None,
    typer.Option(
        help="Its network: sim (an internet that answers), drop (silence), none; internet, tor, socks5, vpn if set up.",
        metavar="MODE",
        show_default="sim, a setting",
    ),
]
Engine = Annotated[str, typer.Option(help="The tracer: tracepoint or kprobe.", metavar="NAME")]
Time = Annotated[
    str,
    typer.Option(
        help="Its time: real, or skip: sleeps and timers pass at once (not with --network sim).",
        metavar="HOW",
    ),
]
Memory = Annotated[
    bool, typer.Option("--memory", help="Keep the memory of the processes that live at the end, and of the machine.")
]
Image = Annotated[str, typer.Option(help="The guest image.", metavar="NAME")]


def build(
    settings: Settings,
    timeout: float | None,
    package: str | None,
    arguments: str,
    pairs: list[str] | None,
    user: str,
    network: str | None,
    engine: str,
    image: str,
    memory: bool = False,
    time: str = "real",
) -> Options:
    """Return checked options; raise SubmitError for what cannot be right."""
    from malkoha import submit
    from malkoha.model.task import Options

    chosen = Options(
        timeout_s=settings.analysis.timeout_s if timeout is None else timeout,
        package=package,
        arguments=arguments,
        user=user,
        network=network or ("none" if time == "skip" else settings.network.mode),
        time=cast("Literal['real', 'skip']", time),
        engine=cast("Literal['tracepoint', 'kprobe']", engine),
        image=image,
        memory=memory,
        extra=dict(_pair(pair) for pair in pairs or []),
    )
    submit.check(chosen, settings.routes)
    return chosen


def need_image(home: Home, name: str, client: str = "") -> None:
    """Raise SubmitError unless the image exists, with a browser where ``client`` is one.

    The default one is built when it is first needed.
    """
    from malkoha.machinery import image

    found = image.find(home, name) if client == "browser" or name != "default" else None
    if found is None and name != "default":
        known = [each.name for each in image.list_images(home)]
        mend = f"there are: {', '.join(known)}" if known else f"malkoha image build --name {name}"
        raise SubmitError(f"there is no image {name!r}", "", mend)
    if client == "browser" and (found is None or "chromium" not in found.packages):
        mend = "malkoha image build --name browser --packages chromium, then --image browser"
        raise SubmitError(f"the image {name!r} has no browser", "", mend)


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise SubmitError(f"the option {text!r} has no value", "", "write --option KEY=VALUE")
    return key, value
