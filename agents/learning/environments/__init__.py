"""Batched environments: thousands of episodes a step, by indexing and arithmetic on tensors."""
