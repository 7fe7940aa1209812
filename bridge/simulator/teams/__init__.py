"""A Microsoft Teams tenant on your own machine: people, Entra ID, Bot Connector and a chat page."""

from bridge.simulator.teams.app import (
    CONNECTOR_LOG,
    COURIER,
    FAULTS,
    IDENTITY,
    PEOPLE,
    TENANT,
    TeamsOptions,
    build_app,
)
from bridge.simulator.teams.chat_api import BridgeControl, BridgeState
from bridge.simulator.teams.identity import Credentials, credentials

__all__ = [
    "CONNECTOR_LOG",
    "COURIER",
    "FAULTS",
    "IDENTITY",
    "PEOPLE",
    "TENANT",
    "BridgeControl",
    "BridgeState",
    "Credentials",
    "TeamsOptions",
    "build_app",
    "credentials",
]
