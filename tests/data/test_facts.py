"""What a recording is like: by hand, and whether a label can be told from it."""

import io

import numpy as np
import pytest
import soundfile

from ser.data.audio import read_audio
from ser.data.facts import RecordingFacts, facts_table, recording_facts


def as_file(y, sr, subtype="PCM_16", format="WAV"):
    file = io.BytesIO()
    soundfile.write(file, y, sr, subtype=subtype, format=format)
    return file.getvalue()


def facts_of(data):
    return recording_facts(*read_audio(data), data)


def test_facts_of_a_tone_behind_silence_are_those_by_hand():
    sr = 16_000
    t = np.arange(2 * sr) / sr
    tone = np.where(t < 0.5, 1e-3, 0.5) * np.sin(2 * np.pi * 1000 * t)
    facts = facts_of(as_file(np.stack([tone, tone], axis=1), sr, "PCM_24"))
    assert (facts.sr, facts.channels, facts.subtype) == (sr, 2, "PCM_24")
    assert facts.duration == 2
    assert facts.level == pytest.approx(10 * np.log10(0.75 * 0.5**2 / 2), abs=0.01)
    assert facts.leading_silence == pytest.approx(0.5)
    assert facts.noise == pytest.approx(20 * np.log10(1e-3 / np.sqrt(2)), abs=0.1)


def test_facts_of_digital_silence_and_of_a_few_samples_are_finite():
    for y in (np.r_[np.zeros(8000), 0.1], np.r_[0.5, -0.5]):
        data = as_file(y, 8000)
        facts = recording_facts(*read_audio(data, min_samples=1), data)
        assert all(np.isfinite(v) for v in vars(facts).values() if not isinstance(v, str))
        assert facts.noise >= -100


def test_facts_table_has_a_row_for_each_and_one_that_is_not_known():
    table = facts_table([RecordingFacts(), RecordingFacts(sr=8000, subtype="PCM_16")])
    assert table["sr"].tolist() == [0, 8000]
    assert table["level"].isna().all()
    assert facts_table([]).columns.tolist() == table.columns.tolist()
