"""Muon for matrices and convolution kernels, AdamW for everything else."""

import torch


@torch.no_grad()
def _orthogonalise(matrix, steps=5):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (matrix / (matrix.norm() + 1e-7)).bfloat16()
    transposed = x.size(0) > x.size(1)
    if transposed:
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.T if transposed else x).float()


class MuonWithAdamW:
    """Two optimisers behind one step(); `scale` multiplies both learning rates."""

    UPDATE_RMS = 0.2

    def __init__(self, matrices, others, matrix_lr, other_lr, weight_decay=0.0, momentum=0.95):
        self.matrices = list(matrices)
        self.matrix_lr = matrix_lr
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.buffers = [torch.zeros_like(p) for p in self.matrices]
        self.other_lr = other_lr
        self.adamw = torch.optim.AdamW(
            list(others), lr=other_lr, betas=(0.9, 0.98), weight_decay=weight_decay
        )

    def zero_grad(self):
        for parameter in self.matrices:
            parameter.grad = None
        self.adamw.zero_grad(set_to_none=True)

    @torch.no_grad()
    def step(self, scale=1.0):
        for group in self.adamw.param_groups:
            group["lr"] = self.other_lr * scale
        self.adamw.step()
        lr = self.matrix_lr * scale
        for parameter, buffer in zip(self.matrices, self.buffers):
            buffer.lerp_(parameter.grad, 1.0 - self.momentum)
            direction = parameter.grad.lerp(buffer, self.momentum).flatten(1)
            update = _orthogonalise(direction)
            update *= self.UPDATE_RMS * max(update.shape) ** 0.5
            parameter.mul_(1.0 - lr * self.weight_decay)
            parameter.add_(update.view_as(parameter), alpha=-lr)

    def state_dict(self):
        return {"buffers": self.buffers, "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state):
        for buffer, saved in zip(self.buffers, state["buffers"]):
            buffer.copy_(saved)
        self.adamw.load_state_dict(state["adamw"])
