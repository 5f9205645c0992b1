"""What to try: recipe by size, the ladder, what each run costs and teaches."""
