"""A stand-in for the GoClaw gateway: the HTTP and WebSocket surface a bridge meets, and a small honest agent.

It follows the observed behaviour of the real gateway (reference page goclaw-gateway.md) and shares no line with the
bridge, so that a mistake of the bridge cannot hide in its own mirror. It is no GoClaw: no tools beyond the stand-in
agent's, no long-term memory, no tenants, no ``chat.send``. `bridge.simulator.gateway.app.build_app` is its door.
"""
