"""Puts the sides together: the data folder, one ASGI application, one process."""
