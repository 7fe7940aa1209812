"""The turn table on disk: SQL statements, and the classes that carry values in and out."""
