"""LinkedIn: the adapter for organizations' and members' posts, and the Rest.li protocol."""
