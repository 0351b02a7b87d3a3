"""Takes out of a compiled module what only a debugger reads: of uvloop it is nine tenths.

What a process maps is named by the program headers. Sections behind the last of these, symbols and
debug information, are never read when it is loaded. No tool for it is needed, so a package comes
out the same on each machine.
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_NOBITS = 8


def stripped(data: bytes) -> bytes:
    """Return the file without sections that are not loaded. What is no 64-bit little-endian ELF
    file, or has something else at its end, is returned as it is.
    """
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < _HEADER.size:
        return data
    fields = list(_HEADER.unpack_from(data))
    segments_at, sections_at, segment_count, section_count = (fields[i] for i in (5, 6, 10, 12))
    sections_end = sections_at + section_count * _SECTION.size
    end = _loaded_end(data, segments_at, segment_count)
    if not sections_at or max(sections_end, _last_byte(data, sections_at, section_count)) < len(
        data
    ):
        return data
    if not sections_at or end > sections_at:
        return data
    fields[6] = fields[12] = fields[13] = 0  # no table of sections
    return _HEADER.pack(*fields) + data[_HEADER.size : end]


def _loaded_end(data: bytes, at: int, count: int) -> int:
    """Return where the last segment ends in the file."""
    ends = [at + count * _SEGMENT.size]
    for number in range(count):
        _, _, offset, _, _, size, _, _ = _SEGMENT.unpack_from(data, at + number * _SEGMENT.size)
        ends.append(offset + size)
    return max(ends)


def _last_byte(data: bytes, at: int, count: int) -> int:
    """Return where the last section ends in the file."""
    ends = [0]
    for number in range(count):
        _, kind, _, _, offset, size, *_ = _SECTION.unpack_from(data, at + number * _SECTION.size)
        ends.append(0 if kind == _NOBITS else offset + size)
    return max(ends)
