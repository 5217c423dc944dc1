"""The stage that decodes and resizes every image once."""
