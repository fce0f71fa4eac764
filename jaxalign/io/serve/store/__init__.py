"""The store: its rows, its protocol, and its two implementations over one set of statements."""
