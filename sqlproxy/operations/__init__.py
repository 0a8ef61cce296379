"""Settings, the allow-list, logs, metrics, limits on memory and open files, and worker processes."""
