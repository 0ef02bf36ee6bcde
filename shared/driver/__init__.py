"""psycopg as the engines use it: fast lists, COPY, a check of idle connections, the hot path's statements."""
