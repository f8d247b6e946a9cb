"""What codecs are called in containers, and here: the names are those that ffmpeg's users know."""

from __future__ import annotations

__all__ = ["FOURCC", "MATROSKA", "MPEG4_OBJECTS", "WAVE_CODECS", "fourcc_name"]

#: By the number in a WAVEFORMAT.
WAVE_CODECS = {
    0x01: "pcm", 0x02: "adpcm_ms", 0x03: "pcm_float", 0x06: "pcm_alaw", 0x07: "pcm_mulaw", 0x11: "adpcm_ima_wav",
    0x50: "mp2", 0x55: "mp3", 0xFF: "aac", 0x161: "wmav2", 0x1602: "aac", 0x2000: "ac3", 0xF1AC: "flac",
}  # fmt: skip

#: By four characters, of MP4, QuickTime and AVI, in small letters.
FOURCC = {
    "avc1": "h264", "avc3": "h264", "h264": "h264", "x264": "h264", "hvc1": "hevc", "hev1": "hevc", "hevc": "hevc",
    "h265": "hevc", "dvh1": "hevc", "dvhe": "hevc", "vvc1": "vvc", "vp08": "vp8", "vp80": "vp8", "vp09": "vp9",
    "vp90": "vp9", "av01": "av1", "mp4v": "mpeg4", "xvid": "mpeg4", "divx": "mpeg4", "dx50": "mpeg4", "fmp4": "mpeg4",
    "div3": "msmpeg4v3", "mp43": "msmpeg4v3", "mp42": "msmpeg4v2", "mpg1": "mpeg1video", "mpg2": "mpeg2video",
    "s263": "h263", "h263": "h263", "mjpg": "mjpeg", "mjpa": "mjpeg", "mjpb": "mjpegb", "jpeg": "mjpeg", "png": "png",
    "apch": "prores", "apcn": "prores", "apcs": "prores", "apco": "prores", "ap4h": "prores", "ap4x": "prores",
    "ffv1": "ffv1", "raw": "rawvideo", "dib": "rawvideo",
    "i420": "rawvideo", "iyuv": "rawvideo", "yv12": "rawvideo", "yuy2": "rawvideo", "uyvy": "rawvideo",
    "nv12": "rawvideo", "rle": "qtrle", "cvid": "cinepak", "svq3": "svq3",
    "theo": "theora", "wmv1": "wmv1", "wmv2": "wmv2", "wmv3": "wmv3", "dvc": "dvvideo", "dvcp": "dvvideo",
    "mp4a": "aac", ".mp3": "mp3", "ac-3": "ac3", "ec-3": "eac3", "ac-4": "ac4", "opus": "opus", "flac": "flac",
    "alac": "alac", "samr": "amr_nb", "sawb": "amr_wb", "dtsc": "dts", "dtsh": "dts", "dtsl": "dts", "dtse": "dts",
    "sowt": "pcm", "twos": "pcm", "lpcm": "pcm", "ipcm": "pcm", "in24": "pcm", "in32": "pcm", "fl32": "pcm_float",
    "fl64": "pcm_float", "fpcm": "pcm_float", "alaw": "pcm_alaw", "ulaw": "pcm_mulaw", "ima4": "adpcm_ima_qt",
}  # fmt: skip

#: By the object type in an MP4's esds.
MPEG4_OBJECTS = {
    0x20: "mpeg4", 0x21: "h264", 0x23: "hevc", 0x40: "aac", 0x60: "mpeg2video", 0x61: "mpeg2video", 0x62: "mpeg2video",
    0x63: "mpeg2video", 0x64: "mpeg2video", 0x65: "mpeg2video", 0x66: "aac", 0x67: "aac", 0x68: "aac", 0x69: "mp3",
    0x6A: "mpeg1video", 0x6B: "mp3", 0x6C: "mjpeg", 0x6D: "png", 0xA5: "ac3", 0xA6: "eac3", 0xA9: "dts", 0xAD: "opus",
    0xDD: "vorbis", 0xE1: "qcelp",
}  # fmt: skip

#: By a Matroska track's CodecID, whole or as far as its first slash after the kind.
MATROSKA = {
    "V_VP8": "vp8", "V_VP9": "vp9", "V_AV1": "av1", "V_MPEG4/ISO/AVC": "h264", "V_MPEGH/ISO/HEVC": "hevc",
    "V_MPEGI/ISO/VVC": "vvc", "V_MPEG4/ISO/SP": "mpeg4", "V_MPEG4/ISO/ASP": "mpeg4", "V_MPEG4/ISO/AP": "mpeg4",
    "V_MPEG4/MS/V3": "msmpeg4v3", "V_MPEG1": "mpeg1video", "V_MPEG2": "mpeg2video", "V_THEORA": "theora",
    "V_PRORES": "prores", "V_MJPEG": "mjpeg", "V_FFV1": "ffv1", "V_UNCOMPRESSED": "rawvideo",
    "A_VORBIS": "vorbis", "A_OPUS": "opus", "A_FLAC": "flac", "A_AAC": "aac", "A_MPEG/L3": "mp3", "A_MPEG/L2": "mp2",
    "A_MPEG/L1": "mp1", "A_AC3": "ac3", "A_EAC3": "eac3", "A_DTS": "dts", "A_TRUEHD": "truehd", "A_ALAC": "alac",
    "A_PCM/INT/LIT": "pcm", "A_PCM/INT/BIG": "pcm", "A_PCM/FLOAT/IEEE": "pcm_float",
}  # fmt: skip


def fourcc_name(code: bytes) -> str | None:
    """The codec of four characters; the characters themselves where it is not known; None where they are no text."""
    text = code.decode("latin-1").strip(" \0").lower()
    known = FOURCC.get(text)
    if known is not None:
        return known
    return text if text and text.isascii() and text.isprintable() else None
