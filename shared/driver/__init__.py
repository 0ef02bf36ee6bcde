"""psycopg as the engines use it: fast lists, a check of idle connections, statements of the hot path."""
