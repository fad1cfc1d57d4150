"""Patterns in bars: what was found, where, from which bar on it was known, and what it is worth.

A pattern is known only from bars up to its confirmation. What it says of the direction is the
textbooks' reading (Murphy 1999; Bulkowski 2005; Nison 1991); whether the market agrees is measured
(`track_record`), and a pattern without edge has no say.
"""
