"""Protocols and values through which the engine reaches the outside world; no implementations.

Each port has one real implementation, in an edge (`bridge.teams`, `bridge.gateway`, `bridge.store`), and stand-ins in
the tests. All methods are coroutines unless declared otherwise, and may be cancelled at each await.
"""
