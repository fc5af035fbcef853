"""Frames to tokens and back."""
