"""Turns on disk. The statements are the store; the classes around them only carry values in and out."""
