"""Protocols and values through which the engine reaches the outside world; no implementations.

Edges (`bridge.teams`, `bridge.gateway`, `bridge.store`) implement the ports; the tests have stand-ins. All
methods are coroutines unless declared otherwise, and may be cancelled at each await.
"""
