"""The lowest layer: what two or more services need.

What only one service needs belongs to that service.
"""
