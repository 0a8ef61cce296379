"""Database migrations, and the adoption of an older application's users."""
