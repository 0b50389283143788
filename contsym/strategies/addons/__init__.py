"""What goes on top of any strategy against forgetting (`fine_tune+ewc`); one a file.

An add-on is an Avalanche plugin whose first experience is that of the bare strategy, to the bit: it
acts from the second on, with what it takes at the end of each.
"""
