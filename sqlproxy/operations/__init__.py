"""Settings, logs, metrics, worker processes."""
