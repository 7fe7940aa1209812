"""A stand-in for the GoClaw gateway: the gateway's HTTP and WebSocket interface, and a scripted agent.

The stand-in plays the facts of docs/reference/goclaw.md, and shares no code with the bridge, so that a mistake of the
bridge is not repeated here. Left out: tools beyond the scripted agent's, long-term memory, tenants, ``chat.send``.
`bridge.simulator.gateway.app.build_app` makes the application.
"""
