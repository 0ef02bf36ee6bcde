"""Between the queue and a refresh: messages in, jobs out; no rule about a refresh lives here."""
