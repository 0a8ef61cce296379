"""The local stack: what `make` installs, starts, watches and stops. None of it is deployed."""
