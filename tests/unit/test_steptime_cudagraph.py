"""Capture sizes against the list that vLLM documents and logs."""

import numpy as np

from sim.steptime.cudagraph import capture_sizes, padded


def test_default_list_of_a_hopper_server():
    # vLLM logs "Capturing CUDA graphs: 51/51" for this list.
    expected = (1, 2, 4, *range(8, 249, 8), *range(256, 513, 16))
    assert capture_sizes(1024, 8192, 512) == expected
    assert len(expected) == 51


def test_blackwell_captures_up_to_1024():
    sizes = capture_sizes(1024, 16384, 1024)
    assert sizes[-2:] == (1008, 1024)
    assert len(sizes) == 51 + 32


def test_few_seats_limit_the_list_and_are_captured_themselves():
    assert capture_sizes(9, 8192, 512) == (1, 2, 4, 8, 9, 16)
    assert capture_sizes(100, 8192, 512) == tuple(sorted({1, 2, 4, 100, *range(8, 201, 8)}))
    assert capture_sizes(1, 8192, 512) == (1, 2)


def test_a_small_budget_limits_the_list_and_is_captured_itself():
    assert capture_sizes(64, 70, 512) == (1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64, 70)


def test_padding_to_the_next_size_and_none_beyond():
    sizes = capture_sizes(1024, 8192, 512)
    tokens = np.array([1, 3, 4, 5, 9, 250, 257, 512, 513, 8192])
    assert padded(tokens, sizes).tolist() == [1, 4, 4, 8, 16, 256, 272, 512, 513, 8192]
    assert padded(tokens, ()).tolist() == tokens.tolist()
