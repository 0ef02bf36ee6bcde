"""The tests of the modules at the edges: the API, the command line, the operations and the wrapped driver."""
