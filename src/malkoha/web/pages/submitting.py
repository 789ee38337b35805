"""The page where samples are handed in: files, archives and URLs with options in, tasks in the queue out."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Form, Request, Response, UploadFile
from fastapi.responses import RedirectResponse

from malkoha import submit
from malkoha.config import ROUTED
from malkoha.errors import ConfigError, SubmitError
from malkoha.machinery import image as images
from malkoha.model.task import Options, Task
from malkoha.web import acting
from malkoha.web.access import LOCAL
from malkoha.web.pages.rendering import PageRoute, is_fragment, page
from malkoha.web.service import Asker, Given, Service, needs
from malkoha.web.tokens import Role

router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[needs(Role.SUBMIT)])
MAX_FILES = 50
MAX_URLS = 100
NETWORKS = {"sim": "simulated internet", "drop": "silence", "none": "no card"}
"""What the modes are called that every host has."""

Field = Annotated[str, Form(max_length=20_000)]


@router.get("/submit")
def submit_form(request: Request, given: Given) -> Response:
    """Show the form."""
    return page(request, "submit.html.j2", made=[], errors=[], remarks=[], **_choices(given))


class Asking:
    """The fields of the form; used as a dependency."""

    def __init__(
        self,
        timeout: Field = "",
        network: Field = "",
        package: Field = "",
        engine: Field = "tracepoint",
        image: Field = "default",
        priority: Field = "1",
        arguments: Field = "",
        user: Field = "root",
        time: Field = "real",
        extra: Field = "",
        memory: Field = "",
    ) -> None:
        self.fields = {name: value.strip() for name, value in locals().items() if name != "self"}

    def options(self, given: Service) -> Options:
        """Return the options; raise SubmitError for what cannot be done."""
        fields, settings = self.fields, given.settings
        timeout = fields["timeout"]
        chosen = Options(
            timeout_s=_whole("timeout", timeout) if timeout else settings.analysis.timeout_s,
            package=fields["package"] or None,
            arguments=fields["arguments"],
            user=fields["user"],
            network=fields["network"] or settings.network.mode,
            engine=cast("Literal['tracepoint', 'kprobe']", fields["engine"]),
            image=fields["image"],
            memory=bool(fields["memory"]),
            time=cast("Literal['real', 'skip']", fields["time"]),
            extra=_pairs(fields["extra"]),
        )
        submit.check(chosen, settings.routes)
        if chosen.image not in _images(given):
            raise SubmitError(f"there is no image {chosen.image!r}", "", "the page of machines lists them")
        return chosen

    def priority(self) -> int:
        """Return the priority; raise SubmitError for one that is not possible."""
        number = _whole("priority", self.fields["priority"] or "1")
        if not 1 <= number <= 100:
            raise SubmitError(f"a priority of {number} is not possible", "", "1 to 100")
        return number


@router.post("/submit")
def submit_all(
    request: Request,
    given: Given,
    asker: Asker,
    asking: Annotated[Asking, Depends()],
    files: list[UploadFile] | None = None,
    urls: Field = "",
    tags: Annotated[str, Form(max_length=400)] = "",
    custom: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    """Put what was handed in into the queue; what is refused is told beside, and keeps nothing else out."""
    uploads = [upload for upload in files or [] if upload.filename]
    lines = [line.strip() for line in urls.splitlines() if line.strip()]
    facts: dict[str, Any] = {"custom": custom, "tags": [tag.strip() for tag in tags.split(",") if tag.strip()]}
    if asker is not None and asker is not LOCAL:
        facts["owner"] = asker.name
    try:
        wanted = acting.Wanted(options=asking.options(given), priority=asking.priority(), facts=facts)
        if not uploads and not lines:
            raise SubmitError("there is nothing to submit", "", "choose a file or write a URL")
        if len(uploads) > MAX_FILES or len(lines) > MAX_URLS:
            raise SubmitError("that is too much at once", "", f"at most {MAX_FILES} files and {MAX_URLS} URLs")
    except (SubmitError, ConfigError) as error:
        return _answered(request, given, [], [str(error)], [], status=400)
    batch = acting.Batch(given, wanted, together=True)
    errors: list[str] = []
    for job in (
        *(partial(batch.file, each, unpack=True) for each in uploads),
        *(partial(batch.url, each) for each in lines),
    ):
        try:
            job()
        except SubmitError as error:
            errors.append(str(error))
    status = 200 if batch.tasks else 400
    return _answered(request, given, batch.tasks, errors, batch.remarks, status=status)


def _answered(
    request: Request, given: Service, made: list[Task], errors: list[str], remarks: list[str], *, status: int
) -> Response:
    """Lead to the one task that was made, or tell what came of several."""
    if len(made) == 1 and not errors and not remarks:
        place = f"/analysis/{made[0].id}"
        return Response(headers={"hx-redirect": place}) if is_fragment(request) else RedirectResponse(place, 303)
    told: dict[str, Any] = {"made": made, "errors": errors, "remarks": remarks}
    if is_fragment(request):
        return page(request, "submitted.html.j2", status=status, **told)
    return page(request, "submit.html.j2", status=status, **told, **_choices(given))


def _choices(given: Service) -> dict[str, Any]:
    return {
        "timeout": round(given.settings.analysis.timeout_s),
        "networks": [*NETWORKS.items(), *((mode, f"out through {mode}") for mode in _routed(given))],
        "network": given.settings.network.mode,
        "packages": submit.package_names(),
        "engines": submit.ENGINES,
        "images": _images(given),
    }


def _routed(given: Service) -> list[str]:
    """Name the ways out that an administrator has set up."""
    return [mode for mode in ROUTED if submit.way_out(mode, given.settings.routes)]


def _images(given: Service) -> list[str]:
    """Name the images; the default one is built when it is first needed."""
    return ["default", *(image.name for image in images.list_images(given.home) if image.name != "default")]


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise SubmitError(f"the {name} {text[:40]!r} is not a whole number")
    return int(text)


def _pairs(text: str) -> dict[str, str]:
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, separator, value = line.partition("=")
        if not separator or not key:
            raise SubmitError(f"the option {line[:80]!r} has no value", "", "write KEY=VALUE, one a line")
        found[key] = value
    return found
