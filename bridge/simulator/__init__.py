"""A Teams tenant, Entra ID and a GoClaw gateway on your own machine, with the refusals of the real services."""
