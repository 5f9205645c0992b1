"""Tables of runs from anywhere, as rows whose columns and units are known."""
