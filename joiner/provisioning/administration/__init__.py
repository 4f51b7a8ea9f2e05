"""What an administrator does with jobs. Nothing here knows HTTP."""
