"""The content of outgoing activities: answers, notes, cards; addressing and sending belong to `bridge.teams`."""
