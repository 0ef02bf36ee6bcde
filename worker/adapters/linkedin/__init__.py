"""LinkedIn: statistics of organizations' and members' posts, and its Rest.li protocol."""
