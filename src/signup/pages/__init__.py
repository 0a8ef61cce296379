"""The HTML pages for sign-up and e-mail verification, and their routes."""
