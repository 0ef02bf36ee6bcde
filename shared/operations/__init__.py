"""What operators do to the fleet and ask about a publication.

For the command line and the operators' page alike.
"""
