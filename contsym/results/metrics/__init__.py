"""What is measured: pure functions of predictions, and the plugins that collect them."""
