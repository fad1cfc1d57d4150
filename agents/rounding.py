"""How finely agents' figures are kept: known without loading what models are computed with."""

#: Outputs are rounded here before use, so that another instruction set decides the same.
PLACES = 6
