"""A Teams tenant, Entra ID and a GoClaw gateway on your own machine, which refuse what the real ones refuse."""
