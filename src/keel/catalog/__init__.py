"""KNOWN FACTS: models, results, corpora, accelerators and prices, every row with its source. No torch."""
