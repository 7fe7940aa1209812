"""Turns from acceptance to outcome. Knows Teams, the gateway and the store only as ports."""
