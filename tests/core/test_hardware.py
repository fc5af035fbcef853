"""Which precision a machine gets."""

import pytest
import torch

from vidworld.core.hardware import precision, product_dtype


@pytest.mark.parametrize(("native", "found"), [(True, "bf16"), (False, "no")])
def test_auto_is_bf16_only_where_the_processor_has_it(monkeypatch, native, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    assert precision() == found
    assert product_dtype() == (torch.bfloat16 if native else torch.float32)


@pytest.mark.parametrize(("gpu", "found"), [(True, "bf16"), (False, "no")])
def test_auto_asks_the_gpu_where_there_is_one(monkeypatch, gpu, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: not gpu)
    assert precision() == found


def test_auto_asks_the_processor_where_the_gpu_is_not_to_be_used(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert precision() == "bf16"


@pytest.mark.parametrize("asked", ["no", "bf16", "fp16"])
def test_what_is_asked_for_stands(asked):
    assert precision(asked) == asked
    assert product_dtype(asked) == (torch.float32 if asked == "no" else torch.bfloat16)
