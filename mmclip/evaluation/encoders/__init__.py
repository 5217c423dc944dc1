"""Models of others behind the encoder protocol: one file each."""
