"""What users read while something runs, or when it stops: one wording for each."""
