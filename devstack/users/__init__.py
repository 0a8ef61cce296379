"""The operator's commands for users and invitations."""
