"""PostgreSQL and Valkey from wheels, as processes of this user; what runs on them is decided outside."""
