"""The stage that reads the sources into tables."""
