"""The two HTTP listeners, public and admin, and their sockets."""
