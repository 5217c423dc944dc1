"""The tables that pass between stages: their columns, one function that checks a table, and atomic files."""
