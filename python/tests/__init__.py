"""Tests of the Python runner: ``python3 -m unittest discover -s python/tests -t python``."""
