"""What one rank does: every collective of every size, timed together with the other ranks."""

import os
import time
from collections.abc import Callable
from typing import Any

from harness.collectives import Order, Point

WARM_UP = 5
_REPEATS = ((1 << 20, 30, 20), (1 << 24, 20, 5), (1 << 62, 10, 2))
"""Up to so many bytes: repeats, and calls a repeat, back to back as the layers of a model call them."""

Call = Callable[[], object]


def run(rank: int, order: Order, port: int, queue: Any) -> None:  # noqa: ANN401  # of torch.multiprocessing
    """Measure all points of an order; rank 0 puts them into the queue."""
    import torch  # noqa: PLC0415
    import torch.distributed as dist  # noqa: PLC0415

    gpu = order.backend == "nccl"
    if gpu:
        torch.cuda.set_device(rank)
    else:
        torch.set_num_threads(1)
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are here
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group(order.backend, init_method=address, rank=rank, world_size=order.ranks)
    try:
        for name, impl, nbytes in order.points:
            times = _times_us(impl, name, nbytes, order.ranks)
            if rank == 0:
                dtype, size = _dtype(gpu=gpu)
                names = (name, impl, _stack(gpu=gpu), str(dtype).removeprefix("torch."))
                elements = _elements(name, nbytes // size, order.ranks)
                queue.put(Point(*names, order.ranks, elements, elements * size, times))
    finally:
        dist.destroy_process_group()


def _dtype(*, gpu: bool) -> tuple[Any, int]:
    """Type of the values and its bytes; gloo reduces no 16-bit ones on every build."""
    import torch  # noqa: PLC0415

    return (torch.bfloat16, 2) if gpu else (torch.float32, 4)


def _stack(*, gpu: bool) -> str:
    import torch  # noqa: PLC0415

    return f"nccl/{'.'.join(map(str, torch.cuda.nccl.version()))}" if gpu else f"gloo/torch-{torch.__version__}"


def _elements(name: str, wanted: int, ranks: int) -> int:
    """Values in the message: all but all_reduce need equal shares."""
    return wanted if name == "all_reduce" else wanted // ranks * ranks


def _call(name: str, nbytes: int, ranks: int, *, gpu: bool) -> Call:
    import torch  # noqa: PLC0415
    import torch.distributed as dist  # noqa: PLC0415

    dtype, size = _dtype(gpu=gpu)
    device = "cuda" if gpu else "cpu"
    elements = _elements(name, nbytes // size, ranks)
    whole, other = (torch.zeros(elements, dtype=dtype, device=device) for _ in range(2))
    part = torch.zeros(elements // ranks, dtype=dtype, device=device)
    calls: dict[str, Call] = {
        "all_reduce": lambda: dist.all_reduce(whole),
        "all_gather": lambda: dist.all_gather_into_tensor(whole, part),
        "reduce_scatter": lambda: dist.reduce_scatter_tensor(part, whole),
        "alltoall": lambda: dist.all_to_all_single(other, whole),
    }
    return calls[name]


def _times_us(impl: str, name: str, nbytes: int, ranks: int) -> tuple[float, ...]:
    """Microseconds a call, by repeat, of the slowest rank."""
    import torch  # noqa: PLC0415
    import torch.distributed as dist  # noqa: PLC0415

    gpu = impl != "gloo"
    repeats, calls = next((repeats, calls) for most, repeats, calls in _REPEATS if nbytes <= most)
    call = _call(name, nbytes, ranks, gpu=gpu)
    for _ in range(WARM_UP):
        call()

    def many() -> None:
        for _ in range(calls):
            call()

    replay = _captured(many) if impl == "NCCL" else many
    clock = _gpu_us if gpu else _host_us
    clock(replay)
    times = []
    for _ in range(repeats):
        dist.barrier()
        times.append(clock(replay) / calls)
    slowest = torch.tensor(times, dtype=torch.float64, device="cuda" if gpu else "cpu")
    dist.all_reduce(slowest, dist.ReduceOp.MAX)
    return tuple(float(value) for value in slowest.tolist())


def _host_us(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return 1e6 * (time.perf_counter() - start)


def _gpu_us(work: Callable[[], None]) -> float:
    import torch  # noqa: PLC0415

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    end.synchronize()
    return 1e3 * float(start.elapsed_time(end))


def _captured(work: Callable[[], None]) -> Callable[[], None]:
    """The work as one CUDA graph."""
    import torch  # noqa: PLC0415

    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    # thread_local: NCCL's watchdog thread queries events meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    replay: Callable[[], None] = graph.replay
    return replay
