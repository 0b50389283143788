"""The paper's mathematics as functions of tensors: no model, device or logger in sight."""
