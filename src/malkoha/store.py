"""Every path inside MALKOHA_HOME and inside one analysis folder; nobody else joins paths."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

ATTEMPT = "attempt-"
"""Beginning of the name of a later attempt's folder."""


@dataclass(frozen=True)
class Home:
    """MALKOHA_HOME: what outlives a single analysis."""

    root: Path
    server: str = ""
    """Address of the PostgreSQL that holds the tasks of many machines; without one they are in a file here."""
    shared: Path | None = None
    """The folder that those machines share: analyses lie there instead of here."""
    lost_after_s: float = 60.0
    """How long a machine may be silent before its tasks are given to others."""

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def database(self) -> Path:
        return self.root / "malkoha.db"

    @property
    def database_lock(self) -> Path:
        """Held while the tables are made or migrated."""
        return self.root / "malkoha.db.lock"

    @property
    def images(self) -> Path:
        """One folder for each guest image, named by the hash of all that went into it."""
        return self.root / "images"

    @property
    def snapshots(self) -> Path:
        """One folder for each armed snapshot, named by a hash as well."""
        return self.root / "snapshots"

    @property
    def cache(self) -> Path:
        """Answers that may be thrown away, such as that of the KVM probe."""
        return self.root / "cache"

    @property
    def rules(self) -> Path:
        """The user's YARA and Sigma rules, one folder for each set."""
        return self.root / "rules"

    @property
    def run(self) -> Path:
        """Sockets and overlays of running machines, one folder for each, removed when the machine stops."""
        return self.root / "run"

    @property
    def analyses(self) -> Path:
        return (self.shared or self.root) / "analyses"

    @property
    def incoming(self) -> Path:
        """What is being uploaded to the service, and answers that are being made."""
        return self.root / "incoming"

    @property
    def tokens(self) -> Path:
        """Names, roles and hashes of the service's tokens."""
        return self.root / "tokens.json"

    @property
    def last_id(self) -> Path:
        """The highest task id that was ever given away."""
        return (self.shared or self.root) / "last-id"

    def folder(self, task_id: int) -> Path:
        """Return the folder of a task, with those of all its attempts."""
        return self.analyses / str(task_id)

    def attempt(self, task_id: int, number: int) -> Store:
        """Return where one attempt writes: the first in the task's folder, each other in one of its own below."""
        folder = self.folder(task_id)
        return Store(folder if number <= 1 else folder / f"{ATTEMPT}{number}")

    def analysis(self, task_id: int) -> Store:
        """Return the folder of the newest attempt, the only one that counts."""
        folder = self.folder(task_id)
        try:
            names = [path.name.removeprefix(ATTEMPT) for path in folder.iterdir() if path.name.startswith(ATTEMPT)]
        except OSError:
            names = []  # not there yet, or not any more
        return self.attempt(task_id, max((int(name) for name in names if name.isdecimal()), default=1))


@dataclass(frozen=True)
class Store:
    """One analysis folder."""

    root: Path

    @property
    def task(self) -> Path:
        return self.root / "task.json"

    @property
    def run(self) -> Path:
        return self.root / "run.json"

    @property
    def chain(self) -> Path:
        """Where the sample came from, and what became of what it downloaded (chain.py)."""
        return self.root / "chain.json"

    @property
    def sample(self) -> Path:
        return self.root / "sample"

    @property
    def stop(self) -> Path:
        """Is there when the run shall end before its time."""
        return self.root / "stop"

    @property
    def log(self) -> Path:
        return self.root / "analysis.log"

    @property
    def records(self) -> Path:
        """Binary records, exactly as the tracer wrote them."""
        return self.root / "trace" / "records.bin"

    @property
    def files(self) -> Path:
        """Records of the files that were taken from the guest, as the tracer wrote them."""
        return self.root / "trace" / "files.bin"

    @property
    def stap(self) -> Path:
        """Lines in Cuckoo's grammar, of the kprobe engine or of an imported log."""
        return self.root / "trace" / "all.stap"

    @property
    def stdout(self) -> Path:
        return self.root / "output" / "stdout"

    @property
    def stderr(self) -> Path:
        return self.root / "output" / "stderr"

    @property
    def dropped(self) -> Path:
        return self.root / "dropped"

    @property
    def memory(self) -> Path:
        """Memory of processes, one file for each."""
        return self.root / "memory"

    def process_memory(self, pid: int) -> Path:
        return self.memory / f"{pid}.dmp"

    @property
    def memory_index(self) -> Path:
        """What lies where in the files of processes."""
        return self.memory / "index.json"

    @property
    def machine_memory(self) -> Path:
        """The memory of the machine after the run, byte for byte: a sparse file."""
        return self.root / "memory.dmp"

    @property
    def unpacked(self) -> Path:
        """What processing took out of the sample, named by hash."""
        return self.root / "unpacked"

    @property
    def screenshots(self) -> Path:
        return self.root / "screenshots"

    @property
    def pcap(self) -> Path:
        return self.root / "network.pcap"

    @property
    def network(self) -> Path:
        """What the simulated internet kept: sessions, payloads, TLS keys."""
        return self.root / "network"

    @property
    def sessions(self) -> Path:
        return self.network / "sessions.jsonl"

    @property
    def payloads(self) -> Path:
        return self.network / "payloads"

    @property
    def network_log(self) -> Path:
        return self.network / "simulator.log"

    @property
    def events(self) -> Path:
        return self.root / "events.parquet"

    @property
    def report_json(self) -> Path:
        return self.root / "report.json"

    @property
    def report_html(self) -> Path:
        return self.root / "report.html"

    def clear(self) -> None:
        """Remove what an earlier attempt made; the task, its sample and its log stay."""
        kept = {self.task, self.sample, self.log, self.chain}
        for path in [] if not self.root.is_dir() else sorted(self.root.iterdir()):
            if path in kept or path.name.startswith(ATTEMPT):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def follow(self, earlier: Store, *, ran: bool) -> None:
        """Make this the folder of another attempt, with the sample of the earlier one and, if it ran, its record.

        Files are linked where that is possible: nobody changes them any more.
        """
        if earlier.root == self.root:
            return
        partial = self.root.with_name(f"{self.root.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        again = (self.task, self.sample, self.chain)
        record = (self.run, self.records.parent, self.stdout.parent, self.memory, self.machine_memory)
        network = (self.pcap, self.network)
        for path in (*again, *record, *network) if ran else again:
            old, new = earlier.root / path.name, partial / path.name
            if old.is_dir():
                shutil.copytree(old, new, symlinks=True, copy_function=_link)
            elif old.exists():
                (shutil.copy2 if path == self.chain else _link)(str(old), str(new))
        partial.replace(self.root)

    def discard(self, folder: Path) -> None:
        """Take back what an attempt wrote; ``folder`` is that of its task, which stays."""
        if self.root == folder:
            self.clear()
        else:
            shutil.rmtree(self.root, ignore_errors=True)

    def create(self) -> Store:
        """Make the folder and those below it."""
        for folder in (self.records.parent, self.stdout.parent):
            folder.mkdir(parents=True, exist_ok=True)
        return self


def _link(old: str, new: str) -> str:
    try:
        os.link(old, new)
    except OSError:
        shutil.copy2(old, new)
    return new
