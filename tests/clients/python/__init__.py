"""The chapters of python_sdk.py: one module for each of the API reference, and what they share."""
