"""Models are written and read without PyTorch, whose import takes longer than all else."""

import os
import subprocess
import sys

CODE = """
from ser.models.lean_skops import skops_io
skops_io()
print("skops is there")
import sklearn.externals.array_api_compat.torch
"""


def test_skops_comes_without_pytorch_which_can_be_imported_afterwards(tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('PyTorch is imported')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.stdout == "skops is there\n"
    assert done.stderr == "PyTorch is imported\n"
