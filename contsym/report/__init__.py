"""The report of stored results: one HTML file, and its tables as Markdown, CSV and LaTeX."""
