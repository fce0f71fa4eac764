"""The page for operators: what goes on, which examples there are, deletion, and versions of the policy."""
