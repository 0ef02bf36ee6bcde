"""The places that hold data of a subject, a module each: how it is erased there; `run` decides when."""
