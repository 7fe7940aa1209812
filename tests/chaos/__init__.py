"""The chaos suite: random users, injected faults, killed replicas, and a checker of the messages people saw."""
