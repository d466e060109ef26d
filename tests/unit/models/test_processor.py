"""What a model is computed in on this machine's processor."""

from __future__ import annotations

import pytest

from harness.models.processor import cpu_dtype, multiplies_bfloat16

AVX2 = frozenset({"fpu", "avx", "avx2"})


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(AVX2, False, id="avx2"),
        pytest.param(AVX2 | {"avx512f"}, False, id="avx512-without-bfloat16"),
        pytest.param(AVX2 | {"avx512_bf16"}, True, id="avx512-bfloat16"),
        pytest.param(AVX2 | {"amx_bf16"}, True, id="amx"),
        pytest.param(frozenset({"asimd", "bf16"}), True, id="arm"),
        pytest.param(frozenset(), True, id="unknown"),
    ],
)
def test_bfloat16_is_used_where_the_processor_has_it(flags: frozenset[str], expected: bool) -> None:
    """An unknown processor is left to the engine."""
    assert multiplies_bfloat16(flags) is expected


def test_auto_is_float32_where_bfloat16_is_emulated() -> None:
    """A step takes two to five times as long otherwise."""
    assert cpu_dtype("auto", AVX2) == "float32"


def test_a_type_that_was_named_is_kept() -> None:
    """The user decides."""
    assert cpu_dtype("bfloat16", AVX2) == "bfloat16"
