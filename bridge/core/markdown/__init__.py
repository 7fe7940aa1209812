"""The agent's Markdown to text and cards for Teams; no turns, no sentences of the bridge, no activities."""
