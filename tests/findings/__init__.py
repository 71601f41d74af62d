"""What others have published of systems that people run, found again: rows, their tests, and the table in the docs."""
