"""Mail providers, chosen by MAIL_URL."""
