"""Writes the TorchScript files that the tests read: python modules.py, with torch==2.13.0."""
import hashlib
import json
import pathlib
import struct
import zipfile

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


def save(module, name):
    """Without the records for debuggers: they name files of the machine that exports."""
    path = HERE / name
    torch.jit.script(module).save(str(path))
    with zipfile.ZipFile(path) as archive:
        parts = [(part, archive.read(part)) for part in archive.namelist() if not part.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts:
            archive.writestr(zipfile.ZipInfo(part), content)


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in sorted(tensors.items()):
        raw = tensor.detach().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def hollow_out(layer, folder):
    """Moves a layer's parameters into a base model: a parameter that is one number shown many times takes no room in the module's file."""
    folder.mkdir(exist_ok=True)
    write_safetensors(folder / "model.safetensors", layer.state_dict())
    for parameter in layer.parameters():
        parameter.data = torch.zeros(1).expand(parameter.shape)
    weights = (folder / "model.safetensors").read_bytes()
    file = {"name": "model.safetensors", "sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)}
    (folder / "manifest.json").write_text(json.dumps({"files": [file]}))


torch.manual_seed(1)
save(Adapted(), "adapted.pt")
batch_norm = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
save(batch_norm, "batch-norm.pt")
table = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 1))
save(table, "table.pt")

# The first and the last of these networks once more, with the frozen layer in a base model.
torch.manual_seed(1)
adapted = Adapted()
hollow_out(adapted.base, HERE / "base")
save(adapted, "hollow.pt")
hollow_out(table[0], HERE / "table-base")
save(table, "table-hollow.pt")
