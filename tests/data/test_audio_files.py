"""Which files are audio: in a folder, and of what is named to be predicted."""

import numpy as np
import pytest
import soundfile as sf

from ser.core.errors import SerError
from ser.data.corpora import AUDIO_SUFFIXES, audio_files
from ser.data.recordings import find_recordings


def test_a_folder_is_as_good_as_the_names_of_its_files(tmp_path, caplog):
    for number, suffix in enumerate(AUDIO_SUFFIXES):
        (tmp_path / f"{number:02d}{suffix.upper()}").touch()
    for name in ("notes.txt", "a.wav.dvc", ".b.m4a"):
        (tmp_path / name).touch()
    assert len(audio_files(tmp_path)) == len(AUDIO_SUFFIXES) == len(find_recordings([tmp_path]))
    assert {".oga", ".opus", ".mp2", ".mp1", ".aifc"} <= set(AUDIO_SUFFIXES)
    assert not caplog.records


def test_sound_that_is_not_read_is_counted_and_leaves_the_rest_alone(tmp_path, caplog):
    sf.write(tmp_path / "a.wav", np.sin(np.arange(4000)), 16_000)
    for name in ("b.m4a", "c.M4A", "d.webm"):
        (tmp_path / name).write_bytes(b"\0\0\0\x20ftypM4A " + bytes(99))
    assert audio_files(tmp_path) == [tmp_path / "a.wav"]
    (said,) = caplog.messages
    assert str(tmp_path) in said and "2 .m4a, 1 .webm" in said and "ffmpeg -i FILE" in said
    (tmp_path / "a.wav").unlink()
    with pytest.raises(SerError, match=r"names no audio.*ffmpeg -i FILE clip\.wav"):
        find_recordings([tmp_path])


@pytest.mark.parametrize("empty", ["folder", "none/*.wav", "empty.csv"])
def test_what_names_nothing_is_an_error_in_any_order(empty, tmp_path):
    sf.write(tmp_path / "a.wav", np.sin(np.arange(4000)), 16_000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.csv").write_text("path\n")
    good, nothing = str(tmp_path / "a.wav"), str(tmp_path / empty)
    for sources in ([good, nothing], [nothing, good], [good, nothing, good]):
        with pytest.raises(SerError) as caught:
            find_recordings(sources)
        assert str(caught.value).startswith(f"{nothing} names no audio")
    assert len(find_recordings([good, tmp_path, good])) == 1  # named again is no error
