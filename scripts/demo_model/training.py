"""What every training stage shares: the clock, checkpoints and gradient averaging."""

import datetime
import os
import time

import torch
import torch.distributed as dist


def log(path, message):
    line = f"{datetime.datetime.now():%H:%M:%S} {message}"
    print(line, flush=True)
    with open(path, "a") as stream:
        stream.write(line + "\n")


def use_one_thread():
    torch.set_num_threads(1)


class Clock:
    """Progress from 0 to 1 over a number of minutes or up to a time of day, across restarts."""

    def __init__(self, minutes=None, until=None, spent_seconds=0.0):
        self.start = time.time() - spent_seconds
        if until is not None:
            self.end = _next_time_of_day(until)
        else:
            self.end = self.start + 60.0 * minutes

    def spent_seconds(self):
        return time.time() - self.start

    def progress(self):
        return min(1.0, self.spent_seconds() / max(1e-6, self.end - self.start))


def _next_time_of_day(text):
    """The moment today that reads HH:MM; a moment in the past ends the stage at once."""
    hour, minute = map(int, text.split(":"))
    now = datetime.datetime.now()
    return now.replace(hour=hour, minute=minute, second=0, microsecond=0).timestamp()


def learning_rate_scale(step, progress, warm_up_steps, constant_share, floor):
    warm_up = min(1.0, (step + 1) / warm_up_steps)
    if progress < constant_share:
        return warm_up
    return warm_up * max(floor, (1.0 - progress) / (1.0 - constant_share))


def save_atomically(state, path):
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)


def load_checkpoint(path):
    if not os.path.exists(path):
        return None
    return torch.load(path, map_location="cpu", weights_only=False)


class Averager:
    """Averages gradients over the processes and makes rank 0's progress everybody's."""

    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0

    def average(self, progress):
        if self.world == 1:
            return progress
        own = progress if self.rank == 0 else 0.0
        pieces = [p.grad.reshape(-1) for p in self.parameters]
        flat = torch.cat(pieces + [torch.tensor([own * self.world])])
        dist.all_reduce(flat)
        flat /= self.world
        offset = 0
        for parameter in self.parameters:
            parameter.grad.copy_(flat[offset : offset + parameter.numel()].view_as(parameter))
            offset += parameter.numel()
        return float(flat[-1])


def _run_rank(rank, world, address_file, target, options):
    use_one_thread()
    dist.init_process_group(
        "gloo", init_method=f"file://{address_file}", rank=rank, world_size=world
    )
    try:
        target(options)
    finally:
        dist.destroy_process_group()


def launch(target, options, processes):
    """Run target(options) in one process, or in several that average their gradients."""
    if processes == 1:
        use_one_thread()
        target(options)
        return
    address_file = os.path.join(os.path.abspath(options.work), f"rendezvous-{os.getpid()}")
    torch.multiprocessing.spawn(
        _run_rank, args=(processes, address_file, target, options), nprocs=processes
    )
