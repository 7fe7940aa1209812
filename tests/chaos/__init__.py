"""The chaos suite: random users, faults and deaths, and a checker over what people saw."""
