"""Placeholder until the render branch is merged."""


def shown_so_far(raw: str) -> str:
    """What of an unfinished text may be shown."""
    return raw
