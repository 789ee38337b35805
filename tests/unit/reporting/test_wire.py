"""The network part of the page."""

from __future__ import annotations

from typing import Any

from malkoha.reporting.wire import passed, wire

CAUSE = {"pid": 7, "process_name": "curl", "api": "connect", "note": ""}


def report(**network: Any) -> dict[str, Any]:
    return {"info": {"started": 100.0}, "network": network}


def test_without_traffic_there_is_no_part() -> None:
    assert wire({})["tables"] == []
    assert wire(report(hosts=[], tcp=[]))["tables"] == []


def test_each_table_tells_who_it_was() -> None:
    flow = {"dst": "203.0.113.9", "dport": 80, "time": 101.5, "sent": 10, "received": 20, "answered": True}
    made = wire(
        report(
            mode="sim",
            packets=12,
            tcp=[{**flow, "cause": CAUSE}, {**flow, "answered": False}],
            dns=[{"request": "a.example", "type": "A", "answers": [{"data": "1.2.3.4"}], "cause": CAUSE}],
            http=[{"uri": "http://old/", "method": "GET", "cause": None}],
            https_ex=[
                {"protocol": "https", "host": "c2", "uri": "/x", "method": "POST", "status": 200, "cause": CAUSE}
            ],
            downloads=[{"url": "http://c2/x", "size": 200, "files": ["/tmp/x"], "executed": [9], "cause": CAUSE}],
            findings=[{"description": "much", "count": 3}],
            icmp=[{"type": 8, "dst": "8.8.8.8", "time": 100.25, "cause": CAUSE}],
            sessions=[{"service": "smtp", "dst": "x", "dport": 25, "transport": "tcp", "steps": [{"user": "root"}]}],
        )
    )
    tables = {table["title"]: table["rows"] for table in made["tables"]}
    assert tables["TCP"][0] == ["1.50 s", "203.0.113.9:80", "10 B", "20 B", "curl [7] connect"]
    assert tables["TCP"][1][1] == "203.0.113.9:80, no answer"
    assert tables["TCP"][1][-1] == "no call of the sample"
    assert tables["Names"] == [["a.example", "A", "1.2.3.4", "curl [7] connect"]]
    assert tables["Requests"] == [["POST https://c2/x", "200", "curl [7] connect"]]
    assert tables["Downloads"][0][2:4] == ["/tmp/x", "9"]
    assert tables["Pings"][0][:3] == ["0.25 s", "8.8.8.8", "echo request"]
    assert tables["Conversations"][0][2] == "root"
    assert (made["mode"], made["packets"]) == ("sim", 12)


def test_what_was_led_out_and_what_was_not_is_told() -> None:
    egress = {
        "way": "interface wg0", "flows": 3, "sent": 2048, "received": 10, "blocked": {"port 25": 2, "icmp": 1200},
        "limits": {"bytes": 1.0},
    }  # fmt: skip
    led = {**report(), "malkoha": {"network": {"egress": egress}}}
    assert passed(led) == [
        "2.05 kB out, 10 B in",
        "3 conversations",
        "blocked: 1,200 icmp, 2 port 25",
        "limit of bytes reached",
    ]
    assert wire(led)["passed"] == passed(led)
    assert passed(report()) == []


def test_tables_are_bounded_and_nonsense_is_shown_as_it_is() -> None:
    made = wire(report(dns=[{"request": "x" * 10_000}] * 1000, omitted={"dns": 5}, tcp=["bad", None, {"time": "x"}]))
    names = made["tables"][0]
    assert (len(names["rows"]), names["total"], names["cut"]) == (300, 1005, True)
    assert len(names["rows"][0][0]) <= 301


def test_the_chain_of_downloads_says_what_came_of_each() -> None:
    link = {"url": "http://c2/kit.zip", "kind": "archive", "via": 1, "depth": 1, "id": 2, "name": "bot"}
    verdict = {"level": "malicious", "score": 8.5, "signatures": ["removes_logs", "beacons"]}
    below = {"url": "http://c2/x", "kind": "script", "via": 2, "depth": 2, "id": None, "why": "it ran here"}
    made = wire(report() | {"malkoha": {"chain": {"links": [link | verdict, link | {"status": "pending"}, below]}}})
    (table,) = made["tables"]
    assert table["title"] == "Chain of downloads"
    assert table["rows"] == [
        ["http://c2/kit.zip", "archive", "analysis 1", "2: bot", "malicious 8.5: removes_logs, beacons"],
        ["http://c2/kit.zip", "archive", "analysis 1", "2: bot", "pending"],
        ["> http://c2/x", "script", "analysis 2", "none", "it ran here"],
    ]


def test_alerts_of_suricata_come_first() -> None:
    alert = {
        "severity": 1,
        "signature": "gate",
        "sid": 9,
        "category": "trojan",
        "dst_ip": "203.0.113.9",
        "dst_port": 80,
    }
    made = wire(report() | {"suricata": {"alerts": [alert | {"protocol": "TCP", "cause": CAUSE}]}})
    assert [table["title"] for table in made["tables"]] == ["Alerts of Suricata"]
    assert made["tables"][0]["rows"] == [["1", "gate [9]", "trojan", "203.0.113.9:80/tcp", "curl [7] connect"]]
