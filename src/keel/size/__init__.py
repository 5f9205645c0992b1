"""How big: time and memory on a machine, from what `keel look` measured there."""
