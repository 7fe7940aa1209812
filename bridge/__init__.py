"""GoClaw Teams Bridge: people in Microsoft Teams talk with a GoClaw agent."""

__version__ = "0.1.0"
