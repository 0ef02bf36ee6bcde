"""The top layer: what operators use and deploy. It starts services by command and imports none of them."""
