#!/usr/bin/env bash
# Whisper tiny, fine-tuned, on EmoBox's six folds of RAVDESS: needs a GPU, at most ten minutes on one.
#
# NOT RUN: no GPU was at hand where this was written. What is known is from a processor, which does
# a fold in five minutes (docs/speech-models.md); the time on a GPU is a guess. So `timeout` ends each
# of the two trainings after four and a half minutes; started again, it goes on from its checkpoint.
#
#   pip install -e '.[deep,speech]'
#   bash experiments/speech-models/finetune_gpu.sh [CHECKPOINT] [OVERRIDE ...]
#
# CHECKPOINT: a folder or a hub's id; openai/whisper-tiny unless given.
set -u
checkpoint=${1:-openai/whisper-tiny}
shift $(($# > 0))
python -c 'import sys, torch; sys.exit(not torch.cuda.is_available() and "PyTorch finds no GPU here.")' || exit 1
nvidia-smi --query-gpu=name,memory.total --format=csv,noheader

common=(model=finetune split=emobox6 curves=none compute.n_jobs=1 model.classifier.device=cuda
    "model.classifier.encoder.checkpoint=$checkpoint" model.classifier.epochs=12)
SECONDS=0
for variant in "model.classifier.n_layers=2" \
    "model.classifier.n_layers=null model.classifier.rank=8 model.classifier.learning_rate=0.001"; do
    echo "== $variant"
    # shellcheck disable=SC2086  # several words
    timeout --signal=INT 270 python -m ser.train "${common[@]}" $variant "$@" || echo "ended early: $?"
    echo "== after $SECONDS s"
done
