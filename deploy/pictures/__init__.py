"""The README's pictures and the command that makes them; drawings of the design do not belong here."""
