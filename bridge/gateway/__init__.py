"""The edge to the GoClaw gateway: runs, sessions, agent events, files, probes."""
