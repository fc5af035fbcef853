"""The checks of eval/check_gpu.py."""
