"""Sign-ups by invitation."""
