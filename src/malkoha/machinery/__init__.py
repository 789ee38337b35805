"""Virtual machines: build an image, start or restore a guest, look into it, and leave nothing behind."""

from __future__ import annotations

from malkoha.machinery.base import Machinery, State, running

__all__ = ["Machinery", "State", "running"]
