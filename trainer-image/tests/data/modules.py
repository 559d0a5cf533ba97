"""Writes the TorchScript files that the tests read: python modules.py, with torch==2.13.0."""
import pathlib

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent


class Adapted(nn.Module):
    """A frozen layer with a low-rank adapter beside it, and a head."""

    def __init__(self):
        super().__init__()
        self.base = nn.Linear(64, 32)
        self.lora_a = nn.Parameter(torch.randn(4, 64) / 8)
        self.lora_b = nn.Parameter(torch.zeros(32, 4))
        self.norm = nn.LayerNorm(32)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        x = x.flatten(1)
        x = self.base(x) + x @ self.lora_a.t() @ self.lora_b.t()
        return self.head(self.drop(torch.relu(self.norm(x))))


torch.manual_seed(1)
torch.jit.script(Adapted()).save(str(HERE / "adapted.pt"))
batch_norm = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
torch.jit.script(batch_norm).save(str(HERE / "batch-norm.pt"))
table = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 1))
torch.jit.script(table).save(str(HERE / "table.pt"))
