"""The bridge's decisions and values, pure: no I/O, no clock, no randomness, no asyncio.

A package or module of core imports only lower layers; pyproject.toml lists the layers under `importlinter`.

There is one exception to purity: `texts` holds the sentences in use, which `texts.use` replaces once, at start, by an
admin's own. Handing the sentences to every caller of `texts.say` would add a parameter to most functions here, for a
value that never changes while the process runs.
"""
