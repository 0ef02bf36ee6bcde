"""Every statement that writes the table ``refresh_state``, one file a transition.

Who decides on a transition lives elsewhere.
"""
