"""Tab completion in a real bash, as docs/shell.md installs it."""

import shutil
import subprocess

import pytest

COMPLETE = """
eval "$(ser-train -sc install=bash)"
complete -p ser-train > /dev/null || exit 2
COMP_LINE='ser-train {word}'; COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=($COMP_LINE); COMP_CWORD=1
hydra_bash_completion
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("word", "offered"),
    [
        ("model=sv", {"model=svm", "model=svm_linear"}),
        ("split=lo", {"split=loso"}),
        ("cv.n_sp", {"cv.n_splits="}),
    ],
)
def test_bash_completes_choices_and_keys(word, offered):
    if not shutil.which("bash") or not shutil.which("ser-train"):
        pytest.skip("bash or the console scripts are not installed")
    done = subprocess.run(
        ["bash", "-c", COMPLETE.format(word=word)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == offered
