"""The services of the simulated internet, most particular first; the sink takes what nobody else knows."""

from __future__ import annotations

from malkoha.network.services.base import Service
from malkoha.network.services.brokers import Irc, Mqtt, Ntp, Redis, Socks, Stratum
from malkoha.network.services.dns import Dns
from malkoha.network.services.docker import Docker
from malkoha.network.services.http import Http
from malkoha.network.services.mail import Smtp
from malkoha.network.services.shell import Ssh, Telnet
from malkoha.network.services.sink import Sink
from malkoha.network.services.transfer import Ftp, Tftp

SERVICES: tuple[type[Service], ...] = (
    Dns,
    Docker,
    Http,
    Ssh,
    Telnet,
    Smtp,
    Ftp,
    Tftp,
    Irc,
    Ntp,
    Mqtt,
    Redis,
    Stratum,
    Socks,
    Sink,
)
