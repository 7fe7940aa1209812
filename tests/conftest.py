"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# a busy machine is no fault of the code: speed is measured in tests/bench
settings.register_profile("bridge", deadline=None)
settings.load_profile("bridge")
