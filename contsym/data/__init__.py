"""Text in, checked examples out."""
