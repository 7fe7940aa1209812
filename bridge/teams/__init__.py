"""The edge to Microsoft Teams: verified activities in, messages out, tokens, files of people."""
