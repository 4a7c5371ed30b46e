"""What a file is that `ser` cannot read as audio, and what to do about it."""

from __future__ import annotations

from ser.data.file_bytes import Data

CONVERT = "convert it to WAV, as by 'ffmpeg -i FILE clip.wav'"

# Suffixes of sound that another program has to convert; none of it is read.
CONVERTIBLE = (
    *(".m4a", ".m4b", ".mp4", ".3gp", ".aac", ".ac3", ".webm", ".weba", ".mka", ".wma", ".amr"),
    *(".caf", ".au", ".snd", ".w64", ".voc", ".sph", ".spx", ".ape", ".wv", ".tta"),
)

_SOUND = (  # place, what stands there, name
    (4, b"ftyp", "MP4 (as .m4a, .mp4, .mov and .3gp are)"),
    (0, b"\x1a\x45\xdf\xa3", "WebM or Matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (WMA)"),
    (0, b"#!AMR", "AMR"),
    *((0, bytes([0xFF, head]), "AAC") for head in (0xF0, 0xF1, 0xF8, 0xF9)),
    (0, b"ADIF", "AAC"),
    (0, b"caff", "CAF"),
    (0, b".snd", "AU"),
    (0, b"dns.", "AU"),
    (0, b"riff\x2e\x91\xcf\x11", "W64"),
    (0, b"NIST_1A", "NIST SPHERE"),
    (0, b"Creative Voice File", "VOC"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"TTA1", "TTA"),
    (0, b"FLV\1", "Flash video"),
    (8, b"AVI ", "AVI"),
    (28, b"\x7fFLAC", "FLAC in OGG"),
    (28, b"Speex   ", "Speex"),
)
_OTHERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the audio: fetch that by 'git lfs pull'"),
    (b"version https://hawser", "a Git LFS pointer, not the audio: fetch that by 'git lfs pull'"),
    (b"/annex/objects/", "a git-annex pointer, not the audio: fetch that by 'git annex get FILE'"),
    (b"PK\3\4", "a ZIP archive: unpack it"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (b"\x00\x05\x16\x07", "what macOS keeps beside a file (AppleDouble): remove it"),
)
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head")  # also a store's "access denied"


def described(data: Data) -> str | None:
    """What a file is by its start, and the remedy, after "it is"; None where nobody knows."""
    for at, mark, name in _SOUND:
        if data.startswith(mark, at):
            return f"{name}, which ser does not read: {CONVERT}"
    for mark, text in _OTHERS:
        if data.startswith(mark):
            return text
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.lower().startswith(_PAGES):
        return "a web page, as servers send it in place of a file: fetch it again"
    if len(start) > 20 and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        return "text"
    return None


def broken_link(target: str) -> str:
    """What is wrong with a link to a file that is not there."""
    remedy = ": fetch it by 'git annex get FILE'" if "annex/objects" in target else ""
    return f"it is a link to {target}, and there is no such file{remedy}"
