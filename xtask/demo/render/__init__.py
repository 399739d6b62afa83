"""Turns the Markdown sources of the demo plant into PDF and DOCX files."""
