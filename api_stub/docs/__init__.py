"""The API reference: the OpenAPI document and the page that shows it.

Guides for operators are in ``deploy/``.
"""
