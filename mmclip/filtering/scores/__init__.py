"""One score a file: pure functions from pairs of sentences to numbers, with no opinion of what is good enough."""
