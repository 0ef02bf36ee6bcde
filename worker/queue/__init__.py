"""The connection of the queue to a refresh: actors, consumer, shutdown; no rule of a refresh is here."""
