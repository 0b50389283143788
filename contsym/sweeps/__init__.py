"""Many runs over strategies, seeds and shots: planned, shared, resumed, in parallel."""
