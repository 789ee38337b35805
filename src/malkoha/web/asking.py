"""The fields of Cuckoo 2's forms in; checked options of a task out."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import msgspec
from fastapi import Form

from malkoha import submit
from malkoha.config import ROUTED, Settings
from malkoha.errors import SubmitError
from malkoha.machinery import image as images
from malkoha.model.task import Options
from malkoha.store import Home
from malkoha.web.acting import Wanted

Field = Annotated[str, Form()]
ROUTES = {"": "", "none": "none", "drop": "drop", "sim": "sim", "inetsim": "sim"} | {mode: mode for mode in ROUTED}
"""Cuckoo's routes and the network modes that they are here."""
MAX_FIELD = 4096
FALSE = ("", "0", "no", "false", "off", "none")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What one form asks for."""

    wanted: Wanted
    ignored: list[str]
    """Fields that were given and have no effect here."""


class Asking:
    """The form fields that create/file, create/url and create/submit share; used as a dependency."""

    def __init__(
        self,
        package: Field = "",
        timeout: Field = "",
        priority: Field = "",
        options: Field = "",
        machine: Field = "",
        platform: Field = "",
        tags: Field = "",
        custom: Field = "",
        owner: Field = "",
        clock: Field = "",
        memory: Field = "",
        unique: Field = "",
        enforce_timeout: Field = "",
        route: Field = "",
    ) -> None:
        self.fields = {name: value for name, value in locals().items() if name != "self"}

    def checked(self, home: Home, settings: Settings) -> Asked:
        """Return what was asked for; raise SubmitError for what cannot be done."""
        fields = self.fields
        for name, value in fields.items():
            if len(value) > MAX_FIELD:
                raise SubmitError(f"the field {name} is too long", f"at most {MAX_FIELD} characters are accepted")
        if fields["platform"].lower() not in ("", "linux"):
            raise SubmitError(f"there is no machine with the platform {fields['platform']!r}", "", "known is: linux")
        priority = _whole("priority", fields["priority"], 1)
        if not 1 <= priority <= 100:
            raise SubmitError(f"a priority of {priority} is not possible", "", "1 to 100")
        tags = [tag.strip() for tag in fields["tags"].split(",") if tag.strip()]
        return Asked(
            wanted=Wanted(
                options=_options(fields, home, settings),
                priority=priority,
                unique=_true(fields["unique"]),
                facts={"custom": fields["custom"], "owner": fields["owner"], "tags": tags},
            ),
            ignored=[name for name in ("clock", "enforce_timeout") if _true(fields[name])],
        )


def _options(fields: dict[str, str], home: Home, settings: Settings) -> Options:
    pairs = dict(_pair(part) for part in fields["options"].split(",") if part.strip())
    route = fields["route"] or pairs.pop("route", "")
    if route not in ROUTES:
        raise SubmitError(f"there is no route {route!r}", "", f"known are: {', '.join(filter(None, ROUTES))}")
    machine = fields["machine"] or "default"
    if machine != "default" and machine not in [image.name for image in images.list_images(home)]:
        raise SubmitError(f"there is no machine {machine!r}", "", "machines/list names them")
    dump = pairs.pop("procmemdump", "")
    chosen = Options(
        timeout_s=_whole("timeout", fields["timeout"], 0) or settings.analysis.timeout_s,
        package=None if fields["package"] in ("", "generic") else fields["package"],
        arguments=pairs.pop("arguments", ""),
        user=pairs.pop("user", "root"),
        network=ROUTES[route] or settings.network.mode,
        engine=cast("Literal['tracepoint', 'kprobe']", pairs.pop("engine", "tracepoint")),
        image=machine,
        memory=_true(fields["memory"]) or _true(dump),
        extra=pairs,
    )
    submit.check(chosen, settings.routes)
    return chosen


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.strip().partition("=")
    if not separator or not key:
        raise SubmitError(f"the option {text.strip()!r} has no value", "", "write options=KEY=VALUE,KEY=VALUE")
    return key, value


def _whole(name: str, text: str, default: int) -> int:
    if not text.strip():
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise SubmitError(f"the {name} {text[:40]!r} is not a whole number")
    return int(text)


def _true(text: str) -> bool:
    return text.strip().lower() not in FALSE
