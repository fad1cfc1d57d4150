"""What headlines and posts say of a symbol: read by a text model, n-grams or a lexicon."""
