"""E-mail verification: tokens, e-mails, and the use cases. docs/verification.md describes the flow."""
