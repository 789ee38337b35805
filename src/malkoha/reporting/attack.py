"""ATT&CK in a report: which techniques were seen, by what, and in which tactics.

In: report.json as plain values. Out: techniques with names and sources, for the matrix, the Navigator and the exports.
The tactics of a technique are those of ATT&CK for Linux (v18), by the technique's number; sub-techniques follow it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from malkoha.reporting.wording import items, mapping, number

TACTICS: tuple[tuple[str, str, str], ...] = (
    ("TA0001", "initial-access", "T1078 T1189 T1190 T1195 T1199 T1200 T1566"),
    ("TA0002", "execution", "T1053 T1059 T1072 T1106 T1129 T1203 T1204 T1559 T1569 T1610 T1609 T1651 T1675"),
    (
        "TA0003",
        "persistence",
        ("T1037 T1053 T1078 T1098 T1136 T1176 T1205 T1505 T1525 T1542 T1543 T1546 T1547 T1554 T1556 T1574 T1653 T1668"),
    ),
    ("TA0004", "privilege-escalation", "T1037 T1053 T1055 T1068 T1078 T1098 T1543 T1546 T1547 T1548 T1574 T1611"),
    (
        "TA0005",
        "defense-evasion",
        (
            "T1014 T1027 T1036 T1055 T1070 T1078 T1140 T1205 T1211 T1218 T1222 T1480 T1497 T1535 T1542 T1548 "
            "T1550 T1553 T1556 T1562 T1564 T1574 T1600 T1601 T1610 T1612 T1620 T1622 T1656 T1672 T1678 T1685 "
            "T1686 T1690"
        ),
    ),
    (
        "TA0006",
        "credential-access",
        ("T1003 T1040 T1056 T1110 T1111 T1187 T1212 T1528 T1539 T1552 T1555 T1556 T1557 T1558 T1606 T1621 T1649"),
    ),
    (
        "TA0007",
        "discovery",
        (
            "T1007 T1010 T1016 T1018 T1033 T1040 T1046 T1049 T1057 T1069 T1082 T1083 T1087 T1120 T1124 T1135 "
            "T1201 T1217 T1497 T1518 T1526 T1580 T1613 T1614 T1615 T1619 T1622 T1652 T1654 T1673 T1680"
        ),
    ),
    ("TA0008", "lateral-movement", "T1021 T1072 T1080 T1210 T1534 T1550 T1563 T1570"),
    (
        "TA0009",
        "collection",
        "T1005 T1025 T1039 T1056 T1074 T1113 T1114 T1115 T1119 T1123 T1125 T1213 T1557 T1560 T1602",
    ),
    (
        "TA0011",
        "command-and-control",
        ("T1001 T1008 T1071 T1090 T1092 T1095 T1102 T1104 T1105 T1132 T1205 T1219 T1568 T1571 T1572 T1573 T1659 T1665"),
    ),
    ("TA0010", "exfiltration", "T1011 T1020 T1029 T1030 T1041 T1048 T1052 T1537 T1567"),
    (
        "TA0040",
        "impact",
        ("T1485 T1486 T1489 T1490 T1491 T1495 T1496 T1498 T1499 T1529 T1531 T1561 T1565 T1657 T1667"),
    ),
)
"""Tactic's id, name, and its techniques, in the order of the matrix."""
TECHNIQUE = re.compile(r"T[0-9]{4}(?:\.[0-9]{3})?")
SOURCES = 40


def techniques(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Give what was seen: technique's id to ``name``, ``severity`` (the highest) and ``sources`` (what saw it)."""
    found: dict[str, dict[str, Any]] = {}

    def add(code: str, name: str, severity: int, source: str) -> None:
        if not TECHNIQUE.fullmatch(code):
            return
        entry = found.setdefault(code, {"name": "", "severity": 0, "sources": []})
        entry["name"] = entry["name"] or name[:120]
        entry["severity"] = max(entry["severity"], severity)
        if source not in entry["sources"] and len(entry["sources"]) < SOURCES:
            entry["sources"].append(source)

    for match in map(mapping, items(report.get("signatures"))):
        for code, name in mapping(match.get("ttp")).items():
            add(str(code), str(name), int(number(match.get("severity"), 1)), str(match.get("name", "?"))[:120])
    own = mapping(report.get("malkoha"))
    for section, key in (("yara", "rule"), ("sigma", "title")):
        for match in map(mapping, items(mapping(own.get(section)).get("matches"))):
            for code in items(match.get("attack")):
                source = f"{section.upper() if section == 'yara' else 'Sigma'}: {str(match.get(key, '?'))[:120]}"
                add(str(code), "", int(number(match.get("severity"), 1)), source)
    return dict(sorted(found.items()))


def tactics_of(code: str) -> list[str]:
    """Name the tactics of a technique or sub-technique; empty for one that is not known here."""
    parent = code.split(".", maxsplit=1)[0]
    return [name for _, name, members in TACTICS if parent in members.split()]


def matrix(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the columns of the matrix that hold something: tactic's id, title, and its techniques."""
    seen = techniques(report)
    columns = []
    for code, name, _ in TACTICS:
        entries = [{"id": key, **entry} for key, entry in seen.items() if name in tactics_of(key)]
        if entries:
            columns.append({"id": code, "title": name.replace("-", " ").capitalize(), "techniques": entries})
    rest = [{"id": key, **entry} for key, entry in seen.items() if not tactics_of(key)]
    return [*columns, {"id": "", "title": "Other", "techniques": rest}] if rest else columns
