"""The servers by name."""

from __future__ import annotations

from .bentoml import BentoMl
from .fastapi import FastApi
from .flask import FlaskConventional
from .litserve import LitServe
from .mlserver import MlServer
from .ours import Ours
from .server import Server

_ALL: tuple[Server, ...] = (Ours(), FastApi(), MlServer(), BentoMl(), LitServe(), FlaskConventional())
SERVERS = {server.name: server for server in _ALL}
