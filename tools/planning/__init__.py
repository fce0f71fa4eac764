"""Training steps planned from shapes alone: compiled ahead of time for devices that are not here, never allocated."""
