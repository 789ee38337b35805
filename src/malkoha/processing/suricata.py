"""The section ``suricata``: what Suricata's rules say of the capture, where the host has Suricata.

In: network.pcap, the user's rules (``network.suricata_rules``, else those that Suricata was installed with), the
section ``network``. Out: Cuckoo's keys (alerts, http, tls, files), each entry with the call behind its flow. Suricata
reads a hostile capture: it runs with a time limit, on a configuration of its own, and what it writes is bounded.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from malkoha.config import home_from, load
from malkoha.errors import ProcessingError
from malkoha.model.traffic import Network
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.network import NetworkModule

PROGRAM = "suricata"
TIMEOUT_S = 180.0
ENTRIES = 1_000
READ = 64 << 20
"""Bytes of eve.json that are read."""
RULE_FILES = 2_000
TEXT = 1_000
INSTALLED = (Path("/var/lib/suricata/rules"), Path("/etc/suricata/rules"))
"""Where suricata-update and Debian's package put rules."""
CUT = b"cut"
"""Stands for the rest of an eve.json that is longer than what is read."""
SPOKEN_OF = frozenset({2200074, 2200075, 2017363})
"""Alerts on checksums and on simulated internets: they say something of the capture alone, and Cuckoo has none."""
_LOADED = re.compile(r"(\d+) rules successfully loaded, (\d+) rules failed")
_HOSTS = ("HTTP", "SMTP", "SQL", "DNS", "TELNET", "DC")
_PORTS = {"HTTP": "80", "SHELLCODE": "!80", "ORACLE": "1521", "SSH": "22", "FTP": "21", "FILE_DATA": "[80,110,143]"}


class SuricataModule(Processing):
    """Make the section ``suricata``."""

    name = "suricata"
    requires = (NetworkModule,)

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        """Tell whether there is a capture, and Suricata, or a user who expects it."""
        wanted = shutil.which(PROGRAM) is not None or load(home_from()).network.suricata_rules
        return bool(wanted) and facts.store.pcap.exists()

    def run(self, facts: Facts, earlier: Earlier) -> dict[str, Any]:
        program = shutil.which(PROGRAM)
        if program is None:
            raise ProcessingError(f"{PROGRAM} is not installed", "network.suricata_rules is set", "apt-get install it")
        files = rules(load(home_from()).network.suricata_rules)
        with tempfile.TemporaryDirectory(prefix="malkoha-suricata-") as folder:
            said = execute(program, facts.store.pcap, files, Path(folder))
            section = read(_lines(Path(folder) / "eve.json"), _causes(earlier.get(NetworkModule)))
        counts = _LOADED.search(said)
        section["rules"] = {"files": len(files), "loaded": int(counts[1]), "failed": int(counts[2])} if counts else {}
        return section


def rules(folder: str) -> list[Path]:
    """Return the files of rules; raise ProcessingError when the user's folder has none."""
    if folder:
        found = _rules(Path(folder).expanduser())
        if not found:
            raise ProcessingError(f"there are no *.rules in {folder}", "", "set network.suricata_rules")
        return found
    return next((found for place in INSTALLED if (found := _rules(place))), [])


def _rules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.rules") if path.is_file())[:RULE_FILES] if folder.is_dir() else []


def execute(program: str, capture: Path, files: Iterable[Path], folder: Path) -> str:
    """Run Suricata over a capture, its output into ``folder``; return what it said, ProcessingError when it fails."""
    (folder / "suricata.yaml").write_text(configuration(files), encoding="utf-8")
    # checksums are the business of the network card that a guest does not have: -k none
    command = [program, "-c", str(folder / "suricata.yaml"), "-r", str(capture.absolute()), "-l", str(folder)]
    try:
        done = subprocess.run(
            [*command, "-k", "none", "--runmode", "single", "-v"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            check=False,
            cwd=folder,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessingError(f"{PROGRAM} took too long", f"stopped after {TIMEOUT_S:g} s") from error
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        last = said.strip().splitlines()[-1:] or [""]
        raise ProcessingError(f"{PROGRAM} ended with status {done.returncode}", last[0][:500])
    return said


def configuration(files: Iterable[Path]) -> str:
    """Write a suricata.yaml that depends on nothing of the host but its tables of classes; YAML reads JSON."""
    home = "[10.20.0.0/24,fd3c:9a51:7c20::/64]"
    groups = {"HOME_NET": home, "EXTERNAL_NET": "!$HOME_NET", "AIM_SERVERS": "$EXTERNAL_NET"}
    # a rule written for servers of one's own has to fit what a sample does to those of others
    groups |= {f"{name}_SERVERS": "any" for name in _HOSTS}
    eve = {
        "enabled": True,
        "filetype": "regular",
        "filename": "eve.json",
        "types": [
            "alert", {"http": {"extended": True}}, {"tls": {"extended": True}},
            {"files": {"force-hash": ["md5", "sha1", "sha256"]}},
        ],
    }  # fmt: skip
    settings: dict[str, Any] = {
        "vars": {"address-groups": groups, "port-groups": {f"{name}_PORTS": ports for name, ports in _PORTS.items()}},
        "outputs": [{"eve-log": eve}],
        "logging": {"default-log-level": "info", "outputs": [{"console": {"enabled": True}}]},
        "default-rule-path": "/",
        "rule-files": [str(path.absolute()) for path in files],
        "stats": {"enabled": False},
        "unix-command": {"enabled": False},
    }
    for key, name in (("classification-file", "classification"), ("reference-config-file", "reference")):
        path = Path(f"/etc/suricata/{name}.config")
        if path.is_file():
            settings[key] = str(path)
    return "%YAML 1.1\n---\n" + json.dumps(settings, indent=1) + "\n"


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of eve.json up to a bound; without a file there are none."""
    left = READ
    if path.is_file():
        with path.open("rb") as file:
            while left > 0 and (line := file.readline(1 << 20)):
                left -= len(line)
                yield line
            if file.read(1):
                yield CUT


def read(lines: Iterable[bytes], causes: Mapping[tuple[Any, ...], Any]) -> dict[str, Any]:
    """Sort the events of eve.json into Cuckoo's lists; what does not fit or makes no sense is counted."""
    found: dict[str, list[dict[str, Any]]] = {"alerts": [], "tls": [], "files": [], "http": []}
    omitted: dict[str, int] = {}
    for line in lines:
        if line is CUT:
            omitted["what eve.json held beyond"] = 1
            continue
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
            shape = _SHAPES.get(event.get("event_type", ""))
            entry = shape(event) if shape is not None else None
        except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, ValueError):
            entry, shape = None, None
            omitted["not understood"] = omitted.get("not understood", 0) + 1
        if entry is None or shape is None:
            continue
        name = _NAMES[shape]
        if len(found[name]) >= ENTRIES:
            omitted[name] = omitted.get(name, 0) + 1
            continue
        ends = (event.get("src_ip"), event.get("src_port"), event.get("dest_ip"), event.get("dest_port"))
        cause = causes.get(ends) or causes.get((*ends[2:], *ends[:2]))
        found[name].append(_ends(event) | {key: _bounded(value) for key, value in entry.items()} | {"cause": cause})
    return {**found, "omitted": omitted}


def _ends(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "src_ip": event.get("src_ip"),
        "src_port": event.get("src_port"),
        "dst_ip": event.get("dest_ip"),
        "dst_port": event.get("dest_port"),
        "timestamp": event.get("timestamp"),
    }


def _bounded(value: Any) -> Any:
    return value[:TEXT] if isinstance(value, str) else value


def _alert(event: Mapping[str, Any]) -> dict[str, Any] | None:
    alert = event["alert"]
    if alert["signature_id"] in SPOKEN_OF or str(alert["signature"]).startswith("SURICATA STREAM"):
        return None
    return {
        "sid": alert["signature_id"],
        "protocol": event.get("proto"),
        "category": alert.get("category") or "undefined",
        "signature": alert["signature"],
        "severity": alert.get("severity"),
        "app": event.get("app_proto"),
    }


def _http(event: Mapping[str, Any]) -> dict[str, Any]:
    http = event["http"]
    return {
        "method": http.get("http_method"),
        "hostname": http.get("hostname"),
        "url": http.get("url"),
        "status": str(http.get("status")),
        "content_type": http.get("http_content_type"),
        "user_agent": http.get("http_user_agent"),
        "referer": http.get("http_refer"),
        "length": http.get("length"),
    }


def _tls(event: Mapping[str, Any]) -> dict[str, Any]:
    tls = event["tls"]
    return {
        "fingerprint": tls.get("fingerprint"),
        "issuer": tls.get("issuerdn"),
        "version": tls.get("version"),
        "subject": tls.get("subject"),
        "sni": tls.get("sni"),
    }


def _file(event: Mapping[str, Any]) -> dict[str, Any]:
    file, http = event["fileinfo"], event.get("http") or {}
    return {
        "id": file.get("file_id"),
        "filesize": file.get("size"),
        "filename": str(file.get("filename", "")).rsplit("/", 1)[-1],
        "hostname": http.get("hostname"),
        "uri": http.get("url"),
        "md5": file.get("md5"),
        "sha1": file.get("sha1"),
        "sha256": file.get("sha256"),
        "magic": file.get("magic"),
        "referer": http.get("http_refer"),
    }


_SHAPES = {"alert": _alert, "http": _http, "tls": _tls, "fileinfo": _file}
_NAMES: dict[Any, str] = {_alert: "alerts", _http: "http", _tls: "tls", _file: "files"}


def _causes(network: Network | None) -> dict[tuple[Any, ...], Any]:
    """Give the call behind each flow, by its ends."""
    flows = [] if network is None else [*network.tcp, *network.udp]
    return {
        (flow.src, flow.sport, flow.dst, flow.dport): msgspec.to_builtins(flow.cause)
        for flow in flows
        if flow.cause is not None
    }
