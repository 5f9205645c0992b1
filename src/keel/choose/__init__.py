"""WHICH BASE: what is known of weights to start from, before anything is trained. No torch."""
