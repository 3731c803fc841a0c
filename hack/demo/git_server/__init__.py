"""A small git server for demo and tests: real smart HTTP by git's own http-backend, with a password."""
