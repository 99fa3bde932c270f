"""Attention and other kernels, and torch.compile."""
