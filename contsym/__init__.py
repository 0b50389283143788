"""contsym measures how few examples a language encoder needs to learn a relation, and what it forgets."""

from __future__ import annotations

__version__ = "0.1.0"
