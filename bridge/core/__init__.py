"""What the bridge means, as values and functions: no I/O, no clock, no randomness, no asyncio."""
