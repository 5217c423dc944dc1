"""Shared by training and evaluation: the packed pixel reader, augmentation, sampling, batches."""
