"""E-mail verification: tokens, mails, and the use cases. docs/verification.md describes the flow."""
