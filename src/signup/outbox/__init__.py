"""Messages that are recorded with a change in the database and delivered afterwards: mails and webhooks."""
