"""Show it: all artefacts of a study in, one self-contained page (or a table, or a picture) out."""
