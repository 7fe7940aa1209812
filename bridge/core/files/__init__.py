"""Values and decisions about files in both directions; fetching and storing bytes belongs behind `core.ports.files`."""
