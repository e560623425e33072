"""Conversations on disk as Arrow files, for files too large for memory."""
