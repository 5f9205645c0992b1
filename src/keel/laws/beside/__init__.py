"""Laws beside the loss surface: schedules, learning rates and batches, tasks."""
