"""The synchronizationSchema document: reading, checking, completing, comparing it. Pure; nothing here is stored."""
