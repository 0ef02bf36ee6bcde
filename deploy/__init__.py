"""The roof: what people and machines operate. Starts services by command, imports none of them."""
