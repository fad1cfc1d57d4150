"""The words of the house: frozen, validated values and the ports the rooms speak through.

Nothing here performs I/O. Every other package may import this one; this one imports none of them.
"""
