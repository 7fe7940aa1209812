"""The bridge's settings: names, types, sources, and the errors of wrong settings."""
