"""Worlds, stores and servers that tests of several folders share."""
