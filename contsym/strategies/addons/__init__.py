"""Add-ons against forgetting on top of any strategy (`fine_tune+ewc`); one per file.

An add-on is an Avalanche plugin that acts from the second experience on, with the data it took at the end of
earlier ones. The first experience equals that of the bare strategy to the bit.
"""
