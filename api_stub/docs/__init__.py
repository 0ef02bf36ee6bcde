"""The API reference for people, tools and assistants, all made from one OpenAPI document.

Guides for operators are in ``deploy/``.
"""
