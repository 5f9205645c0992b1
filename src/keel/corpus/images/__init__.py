"""Images and images with captions: found, decoded, looked at, stored and augmented."""
