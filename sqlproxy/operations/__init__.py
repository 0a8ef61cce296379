"""Settings, logs, metrics, processes."""
