"""The commands of the command line, one module a topic. A command reads its settings and calls its stage."""
