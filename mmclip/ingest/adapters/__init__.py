"""One module a data set: its published layout, and how its rows become records."""
