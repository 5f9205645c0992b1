"""IS IT SOUND: any loss, also the user's, on tiny text -> checks, each with what was measured and what it may be."""
