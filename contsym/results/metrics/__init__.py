"""What is measured: pure functions of predictions and trajectories."""
