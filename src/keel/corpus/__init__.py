"""What data: readers, survey, split, tokenizer, shards and order. No torch."""
