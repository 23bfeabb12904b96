"""Editing: images into domains, by diffusion models that are never fine-tuned, in fixed batches."""
