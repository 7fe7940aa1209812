"""Teams' verified JSON to events and text of the bridge; the decision about an event belongs in `core.decide`."""
