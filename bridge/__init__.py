"""GoClaw Teams Bridge: people in Microsoft Teams talk with their GoClaw agent."""

__version__ = "0.1.0"
