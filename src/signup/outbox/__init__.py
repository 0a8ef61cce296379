"""Messages that are recorded with a change in the database and delivered afterwards: e-mails and webhooks."""
