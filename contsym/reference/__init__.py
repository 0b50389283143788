"""The reference pages of the documentation, made of catalogs, settings and schemas."""
