"""Taking data away."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import Command, Evidence, Scene, Signature
from malkoha.signatures.collection import ARCHIVERS
from malkoha.signatures.programs import INTERPRETERS, RELAYS
from malkoha.trace.descriptors import argument

_SENDERS = RELAYS | {"curl", "wget", "ssh", "dbclient", "mail", "ftp", "tftp"}


class UploadsFile(Signature):
    """The other way round than a download."""

    name = "uploads_file"
    description = "Sends a file or text with a program for downloads"
    severity = 2
    attack = ("T1048", "T1041")
    programs = frozenset({"curl", "wget", "http", "https", "lwp-request", "ncftpput", "ftpput"})
    line = re.compile(
        r"^\S*curl\b.*(?: -\w*T ?\S| --upload-file| --data(?:-binary|-raw|-urlencode|-ascii)?[ =]| -\w*d ?\S| -\w*F ?\S| --form| --json)"
        r"|^\S*wget\b.*--(?:post|body)-(?:file|data)|^\S*(?:ncftpput|ftpput)\b|^\S*https?\b.*(?:POST|PUT|@)|^\S*lwp-request\b.*-m (?:POST|PUT)"
    )


class UploadsOverTls(Signature):
    """The same, encrypted, to a web server."""

    name = "uploads_over_https"
    description = "Sends data to a web server over HTTPS from the command line"
    severity = 2
    attack = ("T1048.002",)
    programs = frozenset({"curl", "wget"})
    line = re.compile(r"(?=.*https://).*(?:--(?:post|body)-(?:file|data)|--upload-file|--data|--form| -\w*[dFT] ?\S)")


class PostsToWebhook(Signature):
    """Chat services take texts from whoever knows the address."""

    name = "posts_to_webhook"
    description = "Sends data to the webhook of a chat service"
    severity = 4
    attack = ("T1567.004",)
    line = re.compile(
        r"hooks\.slack\.com/|discord(?:app)?\.com/api/webhooks|api\.telegram\.org/bot|webhook\.office\.com|webhook\.site|chat\.googleapis\.com",
        re.IGNORECASE,
    )


class UploadsToPaste(Signature):
    """A place for texts that anybody can fetch."""

    name = "uploads_to_paste_site"
    description = "Sends data to a site for texts or files that anybody may leave there"
    severity = 4
    attack = ("T1567.003", "T1567")
    programs = frozenset({"curl", "wget", "nc", "ncat"})
    line = re.compile(
        r"(?=.*(?:pastebin\.com|paste\.(?:rs|ee)|hastebin|ix\.io|sprunge\.us|termbin\.com|dpaste|0x0\.st|transfer\.sh|file\.io|temp\.sh"
        r"|bashupload\.com|catbox\.moe|gofile\.io))(?:.*(?: -\w*[dFT]\b| --data| --form| --upload-file|--post-(?:file|data))|\S*n(?:c|cat)\b)"
    )


class CopiesToCloud(Signature):
    """Clients of storage services."""

    name = "copies_to_cloud_storage"
    description = "Copies files to a storage service"
    severity = 2
    attack = ("T1567.002",)
    programs = frozenset(
        {
            "rclone",
            "aws",
            "gsutil",
            "s3cmd",
            "azcopy",
            "megaput",
            "mega-put",
            "megatools",
            "gdrive",
            "dropbox_uploader.sh",
            "mc",
            "b2",
            "gcloud",
        }
    )
    line = re.compile(r"\b(?:copy|sync|move|cp|mv|put|upload|rcat)\b|megaput|mega-put")


class EncodedDnsQuestion(Signature):
    """A name whose first label is data."""

    name = "data_in_dns_question"
    description = "Asks for a name that carries encoded data"
    severity = 4
    attack = ("T1048", "T1071.004", "T1132.001")
    programs = frozenset({"dig", "host", "nslookup", "drill", "kdig", "ping", "resolvectl", "getent"})
    line = re.compile(
        r"(?:^|[\s.])(?=[A-Za-z0-9+/=_-]*\d)(?=[A-Za-z0-9+/=_-]*[A-Za-z])[A-Za-z0-9+/=_-]{20,63}\.[\w-]+\.|(?:^|\s)[A-Za-z0-9+/]{8,}={1,2}\.[\w.-]+"
    )
    unless = re.compile(r"in-addr\.arpa|ip6\.arpa|amazonaws|cloudfront|akamai|googleusercontent")


class ChosenResolver(Signature):
    """Questions go past the resolver of this machine."""

    name = "asks_chosen_resolver"
    description = "Asks a DNS server of its own choice"
    severity = 1
    attack = ("T1071.004",)
    programs = frozenset({"dig", "drill", "kdig", "nslookup", "host"})
    line = re.compile(r"@[\w.:]+|^\S*(?:nslookup|host)\b\s+\S+\s+[\d.]{7,}")


class TransfersByFtp(Signature):
    """Old protocols that nobody encrypts."""

    name = "sends_by_plain_protocol"
    description = "Sends files by FTP, TFTP or mail"
    severity = 2
    attack = ("T1048.003",)
    programs = frozenset(
        {"ftp", "lftp", "tftp", "ncftpput", "mail", "mailx", "s-nail", "mutt", "swaks", "sendemail", "ftpput"}
    )
    line = re.compile(
        r"^\S*(?:ftp|lftp)\b.*(?:\bput\b|\bmirror -R|-u )|^\S*tftp\b.*(?:-p\b|put)|^\S*(?:ncftpput|ftpput|swaks|sendemail)\b|^\S*(?:mail|mailx|s-nail|mutt)\b.* -\w*[aA] "
    )


class PingCarriesData(Signature):
    """The pattern of an echo request is free to choose."""

    name = "data_in_ping"
    description = "Fills echo requests with chosen data"
    severity = 4
    attack = ("T1048.003", "T1095")
    programs = frozenset({"ping", "ping6", "nping", "hping3"})
    line = re.compile(r"^\S*ping6?\b.* -\w*p ?[0-9a-fA-F]{4,}|^\S*nping\b.*--data|^\S*hping3\b.*(?:--file|-E|--sign)")


class FileIntoRelay(Signature):
    """A relay whose standard input is a file sends it to whoever is at the other side."""

    name = "file_into_relay"
    description = "Sends a file through a network relay"
    severity = 3
    attack = ("T1048.003",)
    programs = RELAYS

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        item = scene.descriptor(0)
        regular = (
            item is not None and item.kind == "file" and item.path and not item.path.startswith(("/dev/", "/proc/"))
        )
        if not regular or item is None or (command.line.startswith("openssl") and "s_client" not in command.line):
            return None
        return Evidence(item.path, "file", command.line[:200])


class ArchiveIntoNetwork(Signature):
    """What an archiver puts out never touches the disk."""

    name = "archive_into_network"
    description = "Packs files straight into a program that sends them away"
    severity = 3
    attack = ("T1048", "T1560.001")
    programs = ARCHIVERS | _SENDERS

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        if command.names & ARCHIVERS:
            return (
                Evidence(command.line[:500], "command") if any(one.names & _SENDERS for one in scene.piped(1)) else None
            )
        archive = next((one for one in scene.piped(0) if one.names & ARCHIVERS), None)
        return Evidence(archive.line[:500], "command") if archive is not None else None


class ServesFiles(Signature):
    """Whoever is outside fetches the files himself."""

    name = "serves_files"
    description = "Starts a web server for a folder out of an interpreter or busybox"
    severity = 2
    attack = ("T1048.003", "T1105")
    programs = INTERPRETERS | {"busybox", "httpd", "darkhttpd", "webfsd", "twistd", "twistd3"}
    line = re.compile(
        r" -m\s*(?:http\.server|SimpleHTTPServer|pyftpdlib|twisted)|^\S*php\S* -S |-run\s+-e\s*httpd|busybox\s+httpd|^\S*(?:darkhttpd|webfsd|twistd3?)\b"
    )


class OutputIntoConnection(Signature):
    """The shell gave the connection to a program that shows or packs files, as its standard output."""

    name = "output_into_connection"
    description = "Writes files or archives straight into a network connection"
    severity = 3
    attack = ("T1048.003", "T1041")
    programs = ARCHIVERS | {"cat", "dd", "base64", "head", "tail", "xxd", "od", "openssl", "cp", "tee", "find", "grep"}

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        peer = scene.connection(1)
        under = scene.under({"sshd", "sshd-session", "xinetd", "inetd"})
        return Evidence(command.line[:500], "command", f"to {peer}") if peer is not None and not under else None


class SendsWholeFile(Signature):
    """sendfile(2) from a file to a connection; servers do it for what they serve."""

    name = "sends_whole_file"
    description = "Has the kernel send a file over a network connection"
    severity = 2
    attack = ("T1041", "T1048")
    syscalls = frozenset({"sendfile"})
    _ordinary = frozenset(
        {"nginx", "apache2", "lighttpd", "httpd", "vsftpd", "proftpd", "smbd", "nfsd", "sshd", "sftp-server"}
    )

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer, source = scene.connection(argument(event, 0)), scene.descriptor(argument(event, 1))
        if peer is None or source is None or not source.path or scene.program in self._ordinary:
            return None
        return Evidence(source.path, "file", f"to {peer}") if event.ret and event.ret > 0 else None


class CutsFile(Signature):
    """Pieces that stay under a limit."""

    name = "cuts_file_into_pieces"
    description = "Cuts a file into pieces of one size"
    severity = 1
    attack = ("T1030",)
    programs = frozenset({"split", "csplit", "zipsplit", "zip", "7z", "rar"})
    line = re.compile(r"^\S*split\b.* (?:-\w*b|--bytes)|^\S*zipsplit\b|^\S*zip\b.* -s ?\d|^\S*(?:7z|rar)\b.* -v\d")


class ScriptSendsFiles(Signature):
    """A loop over files in a script, each sent away."""

    name = "script_sends_files_away"
    description = "A script goes through files and sends each away"
    severity = 3
    attack = ("T1020", "T1048")
    script = re.compile(
        r"\b(?:for|while)\b[^#]{0,600}?\b(?:curl\b[^\n]{0,200}(?: -T| -F| -d|--data|--upload)|nc \S+ \d+ *<|dig \S*\$|ping\b[^\n]{0,80} -p)",
        re.DOTALL,
    )
    words = ("curl", "nc ", "dig ", "ping")


SIGNATURES: tuple[type[Signature], ...] = (
    UploadsFile, UploadsOverTls, PostsToWebhook, UploadsToPaste, CopiesToCloud, EncodedDnsQuestion, ChosenResolver,
    TransfersByFtp, PingCarriesData, FileIntoRelay, ArchiveIntoNetwork, SendsWholeFile, CutsFile, ScriptSendsFiles,
    OutputIntoConnection,
    ServesFiles,
)  # fmt: skip
