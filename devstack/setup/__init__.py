"""Installation of the project's dependencies, and command line output."""
