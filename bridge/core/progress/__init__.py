"""Decisions about progress: when and with which text; sending and waiting belong to `bridge.engine`."""
