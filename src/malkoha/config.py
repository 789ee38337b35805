"""Settings: config.toml of MALKOHA_HOME and environment variables in, one frozen ``Settings`` out.

A variable ``MALKOHA_<SECTION>_<KEY>`` wins over the file, the file over the default. The structs below are the only
place that knows a key: docs/settings.md and the template of ``malkoha init`` are written from them.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from malkoha.errors import ConfigError
from malkoha.store import Home

PREFIX = "MALKOHA_"
ROUTED = ("internet", "tor", "socks5", "vpn")
"""Network modes that lead out of this machine; each has a setting of its name in [routes]."""


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """The virtual hardware and the system of the guest."""

    memory_mb: Annotated[int, Meta(ge=256, le=65536, description="Memory of a guest, in MiB.")] = 2048
    cpus: Annotated[int, Meta(ge=1, le=16, description="Virtual processors of a guest.")] = 2
    disk_gb: Annotated[
        int, Meta(ge=2, le=1024, description="Size of the guest's disk, in GiB; sparse on the host.")
    ] = 40
    mirror: Annotated[
        str,
        Meta(description="Address of the Debian mirror for image builds; empty: that of the host's own apt."),
    ] = ""
    packages: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9+.-]*$")], ...],
        Meta(description="Debian packages that every image gets on top of malkoha's own."),
    ] = ()


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """How guests are run on this host."""

    accelerator: Annotated[
        Literal["auto", "kvm", "tcg"],
        Meta(description="`auto` uses KVM when it has booted a tiny guest in time, else software emulation (`tcg`)."),
    ] = "auto"
    kvm_probe_timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="How long KVM may take to boot the tiny guest, in seconds.")
    ] = 5.0
    qemu: Annotated[str, Meta(min_length=1, description="QEMU's program, a name or a path.")] = "qemu-system-x86_64"


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one analysis."""

    timeout_s: Annotated[
        float, Meta(gt=0, le=86400, description="How long a sample may run, in seconds, where the task does not say.")
    ] = 120.0
    max_sample_mb: Annotated[int, Meta(ge=1, le=4096, description="Largest sample that is accepted, in MiB.")] = 256
    max_trace_mb: Annotated[
        int, Meta(ge=1, description="Largest trace that is kept, in MiB; what comes after it is counted as lost.")
    ] = 4096
    max_output_mb: Annotated[
        int,
        Meta(ge=1, description="Most that is kept of the sample's standard output, and of its error output, in MiB."),
    ] = 64
    max_process_memory_mb: Annotated[
        int, Meta(ge=1, le=65536, description="Most that `--memory` keeps of the memory of one process, in MiB.")
    ] = 64
    max_file_mb: Annotated[
        int, Meta(ge=1, le=1024, description="Most that is taken of one file that the sample wrote, in MiB.")
    ] = 10
    max_files: Annotated[
        int, Meta(ge=1, le=100_000, description="How many versions of files that the sample wrote are taken.")
    ] = 1000
    max_files_mb: Annotated[
        int, Meta(ge=1, le=16384, description="Most that is taken of all files that the sample wrote, in MiB.")
    ] = 200
    chain_depth: Annotated[
        int, Meta(ge=0, le=8, description="How deep what a sample downloads is analysed in turn; 0: not at all.")
    ] = 2
    chain_tasks: Annotated[
        int, Meta(ge=0, le=1000, description="How many analyses the downloads of one task may become in all.")
    ] = 10


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What a guest's network leads to."""

    mode: Annotated[
        Literal["sim", "drop", "none"],
        Meta(
            description="The network of a sample where the task does not say: an internet that answers, silence, none."
        ),
    ] = "sim"
    answers: Annotated[
        str, Meta(description="Folder of your own answers of the simulated internet (docs/guides/network.md).")
    ] = ""
    capture_mb: Annotated[int, Meta(ge=1, description="Largest capture of one analysis, in MiB.")] = 256
    suricata_rules: Annotated[
        str,
        Meta(
            description="Folder of your own Suricata rules (`*.rules`); empty: those that Suricata was installed with."
        ),
    ] = ""


_WAY = r"^((interface|namespace):[A-Za-z0-9_.@-]{1,64})?$"
_PLACE = r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}"


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Many machines that share one queue (docs/cluster.md)."""

    database: Annotated[
        str,
        Meta(
            pattern=r"^(postgresql://.*)?$",
            description="Address of the PostgreSQL that holds the tasks (`postgresql://...`); empty: a file here.",
        ),
    ] = ""
    folder: Annotated[
        str, Meta(description="Folder that all machines share; analyses lie there. Needed with `cluster.database`.")
    ] = ""
    lost_after_s: Annotated[
        float,
        Meta(ge=1, le=3600, description="How long a worker may be silent until others get its task, in seconds."),
    ] = 60.0


class Routes(msgspec.Struct, frozen=True, kw_only=True):
    """Routes that lead out of this machine, for operators; one that is empty cannot be asked for."""

    internet: Annotated[
        str,
        Meta(
            pattern=_WAY,
            description="Where `--network internet` leads: `interface:NAME` or `namespace:NAME` (guides/network.md).",
        ),
    ] = ""
    vpn: Annotated[str, Meta(pattern=_WAY, description="Where `--network vpn` leads, written the same way.")] = ""
    socks5: Annotated[
        str,
        Meta(
            pattern=rf"^([!-9;-?A-~]+:[!-?A-~]+@)?{_PLACE}$|^$",
            description="Proxy of `--network socks5`: `HOST:PORT` or `USER:PASSWORD@HOST:PORT`.",
        ),
    ] = ""
    tor: Annotated[
        str, Meta(pattern=rf"^({_PLACE})?$", description="Tor's SOCKS port for `--network tor`: `HOST:PORT`.")
    ] = ""
    resolver: Annotated[
        str,
        Meta(
            pattern=r"^[0-9a-fA-F:.]*$",
            description="Address of the name server that all queries go to, through the route; `tor` needs none.",
        ),
    ] = ""
    rate_kbit: Annotated[int, Meta(ge=8, description="Most that passes in a second, both ways together, in kbit.")] = (
        4096
    )
    max_mb: Annotated[int, Meta(ge=1, description="Most that passes in one analysis, both ways together, in MiB.")] = 64
    max_connections: Annotated[
        int, Meta(ge=1, le=100_000, description="Most conversations that one analysis may begin.")
    ] = 1000
    blocked_ports: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=65535)], ...], Meta(description="Ports that nothing goes to, TCP and UDP.")
    ] = (25, 135, 137, 138, 139, 445, 465, 587)
    blocked_networks: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[0-9a-fA-F:.]+/[0-9]{1,3}$")], ...],
        Meta(
            description="Networks that nothing goes to, besides private and reserved ones and this machine's own, "
            "which are always refused."
        ),
    ] = ()


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Who may use the service."""

    token: Annotated[
        str,
        Meta(
            pattern=r"^([!-~]{16,})?$",
            description="A token with the role admin, besides those of `malkoha token`. "
            "Empty, or 16 printable characters and more.",
        ),
    ] = ""
    requests_per_minute: Annotated[
        int, Meta(ge=0, description="Requests that one token (without tokens: one address) may make; 0 sets no limit.")
    ] = 60_000
    submissions_per_minute: Annotated[
        int, Meta(ge=0, description="How many of those may be POST, which submit and change; 0 sets no limit.")
    ] = 6000


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """What `malkoha serve` and `malkoha worker` write to standard error."""

    form: Annotated[
        Literal["text", "json"], Meta(description="Lines for people, or one JSON object a line for a log collector.")
    ] = "text"
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="From where on records are written; `info` has one for each request."),
    ] = "warning"


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how much `malkoha serve` keeps."""

    days: Annotated[int, Meta(ge=0, le=36500, description="Analyses that ended earlier are removed; 0 keeps them.")] = 0
    max_gb: Annotated[
        int, Meta(ge=0, description="Most that all analyses may take, in GiB: the oldest go; 0 sets no limit.")
    ] = 0
    min_free_gb: Annotated[
        int, Meta(ge=0, description="With less than that free on the disk, in GiB, the service takes no submissions.")
    ] = 1


class Notify(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told when a task of the queue has ended."""

    verdict: Annotated[
        Literal["clean", "suspicious", "malicious"],
        Meta(description="Verdicts below this one are not told; tasks that failed always are (not to MISP)."),
    ] = "clean"
    webhook: Annotated[str, Meta(pattern=r"^(https?://\S+)?$", description="Address that gets a POST with JSON.")] = ""
    webhook_secret: Annotated[
        str, Meta(description="Key of the signature in `X-Malkoha-Signature`: HMAC-SHA256 of the body; empty: none.")
    ] = ""
    mail_to: Annotated[str, Meta(description="Addresses that get an e-mail, separated by commas.")] = ""
    mail_from: Annotated[str, Meta(description="Sender of those e-mails.")] = "malkoha@localhost"
    smtp: Annotated[
        str, Meta(pattern=r"^[^\s:]+:[0-9]{1,5}$", description="Mail server, `HOST:PORT`; STARTTLS where it offers it.")
    ] = "localhost:25"
    smtp_user: Annotated[str, Meta(description="Name to log in to the mail server with; empty: without.")] = ""
    smtp_password: Annotated[str, Meta(description="Password that belongs to it.")] = ""
    misp: Annotated[
        str, Meta(pattern=r"^(https?://\S+)?$", description="Address of a MISP that gets an event of each analysis.")
    ] = ""
    misp_key: Annotated[str, Meta(description="Key of a user of that MISP.")] = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set, by section."""

    guest: Guest = Guest()
    machine: Machine = Machine()
    analysis: Analysis = Analysis()
    network: Network = Network()
    routes: Routes = Routes()
    cluster: Cluster = Cluster()
    service: Service = Service()
    log: Log = Log()
    retention: Retention = Retention()
    notify: Notify = Notify()


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table of settings."""

    section: str
    key: str
    type: Any
    default: Any
    description: str

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.section}_{self.key}".upper()


def home_from(environ: Mapping[str, str] = os.environ) -> Home:
    """Return the home: ``MALKOHA_HOME``, or ``~/.malkoha``."""
    given = environ.get("MALKOHA_HOME", "")
    if "\0" in given:
        raise ConfigError("MALKOHA_HOME cannot be used", "it contains a NUL byte")
    try:
        return Home(Path(given).expanduser().absolute() if given else Path.home() / ".malkoha")
    except RuntimeError as error:
        raise ConfigError("there is no home directory", str(error), "set MALKOHA_HOME") from error


def load(home: Home, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of ``home``; raise ConfigError that names the key and the file (or variable) it came from."""
    document = _read(home.config)
    table = {setting.name: setting for setting in every_setting()}
    values: dict[str, dict[str, Any]] = {}
    for section, body in document.items():
        _check_section(section, body, home.config)
        for key, value in body.items():
            name = f"{section}.{key}"
            setting = table.get(name)
            if setting is None:
                raise ConfigError(f"{home.config}: there is no setting {name}", mend=_nearest(name, table))
            values.setdefault(section, {})[key] = _convert(setting, value, str(home.config), text=False)
    for setting, text in _from_environment(environ, table):
        values.setdefault(setting.section, {})[setting.key] = _convert(setting, text, setting.variable, text=True)
    sections = get_type_hints(Settings)
    return Settings(**{section: sections[section](**body) for section, body in values.items()})


def place(home: Home, settings: Settings) -> Home:
    """Return the home with what lies elsewhere by the settings: the tasks and analyses of many machines."""
    cluster = settings.cluster
    if not cluster.database:
        return home
    if not Path(cluster.folder).is_absolute():
        raise ConfigError(
            f"cluster.folder cannot be {cluster.folder!r}", "many machines share it", "set it to an absolute path"
        )
    return replace(home, server=cluster.database, shared=Path(cluster.folder), lost_after_s=cluster.lost_after_s)


def every_setting() -> Iterator[Setting]:
    """Yield each setting in the order of the structs."""
    for section in msgspec.structs.fields(Settings):
        hints = get_type_hints(section.type, include_extras=True)
        for field in msgspec.structs.fields(section.type):
            metas = [extra for extra in hints[field.name].__metadata__ if isinstance(extra, Meta)]
            yield Setting(
                section=section.name,
                key=field.name,
                type=hints[field.name],
                default=field.default,
                description=metas[0].description or "",
            )


_BEFORE = """\
# Settings

Written by `make docs` from `config.py`; a test fails when the two differ.

A setting is looked up in the environment first, then in `config.toml` of `MALKOHA_HOME` (default `~/.malkoha`), then in
this table. `malkoha init` writes a `config.toml` with every key and its default. A wrong value or an unknown key stops
malkoha with exit status 2 and one line that names the key and the file.

| key in config.toml | environment variable | default | meaning |
|---|---|---|---|
"""

_AFTER = """
A list in a variable is separated by commas or spaces: `MALKOHA_GUEST_PACKAGES=curl,perl`.

Other variables: `MALKOHA_HOME` (where everything is kept), `MALKOHA_NO_INSTALL=1` (the launcher installs no Debian
packages), `MALKOHA_PYTHON` (the interpreter that the launcher makes its environment with).
"""


def markdown() -> str:
    """Return docs/settings.md: one table of all settings."""
    rows = [
        f"| `{row.name}` | `{row.variable}` | `{_toml(row.default)}` | {row.description}{_bounds(row)} |\n"
        for row in every_setting()
    ]
    return _BEFORE + "".join(rows) + _AFTER


def template() -> str:
    """Return a config.toml that holds every key with its default, commented out."""
    lines = ["# Settings of malkoha: take the # away from a line and change its value."]
    section = ""
    for setting in every_setting():
        if setting.section != section:
            section = setting.section
            lines += ["", f"[{section}]"]
        lines += [f"# {setting.description}{_bounds(setting)}", f"# {setting.key} = {_toml(setting.default)}"]
    return "\n".join(lines) + "\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML", str(error), "malkoha init --force writes a new one") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text", f"byte {error.start} cannot be decoded") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read", error.strerror or str(error)) from error


def _check_section(section: str, body: object, path: Path) -> None:
    known = get_type_hints(Settings)
    if section not in known:
        raise ConfigError(f"{path}: there is no section [{section}]", mend=_nearest(section, known))
    if not isinstance(body, dict):
        raise ConfigError(f"{path}: {section} has to be a section", mend=f"write [{section}] on a line of its own")


def _from_environment(environ: Mapping[str, str], table: Mapping[str, Setting]) -> Iterator[tuple[Setting, str]]:
    by_variable = {setting.variable: setting for setting in table.values()}
    sections = tuple(f"{PREFIX}{name.upper()}_" for name in get_type_hints(Settings))
    for variable, text in environ.items():
        if variable in by_variable:
            yield by_variable[variable], text
        elif variable.startswith(sections):
            raise ConfigError(f"there is no setting for the variable {variable}", mend=_nearest(variable, by_variable))


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


def _convert(setting: Setting, value: object, origin: str, *, text: bool) -> object:
    if text and isinstance(value, str) and get_origin(get_args(setting.type)[0]) is tuple:
        value = value.replace(",", " ").split()
    try:
        return msgspec.convert(value, setting.type, strict=not text)
    except msgspec.ValidationError as error:
        why = str(error).split(" - at `$")[0]
        raise ConfigError(f"{origin}: {setting.name} cannot be {value!r}", why[0].lower() + why[1:]) from error


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _bounds(setting: Setting) -> str:
    kind = get_args(setting.type)[0]
    if get_origin(kind) is Literal:
        return " One of " + ", ".join(f"`{choice}`" for choice in get_args(kind)) + "."
    meta = next(extra for extra in setting.type.__metadata__ if isinstance(extra, Meta))
    bounds = [(meta.gt, "more than"), (meta.ge, "at least"), (meta.le, "at most")]
    words = [f"{word} {bound:g}" for bound, word in bounds if bound is not None]
    return f" ({', '.join(words)})" if words else ""
