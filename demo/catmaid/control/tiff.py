"""Greyscale TIFF files of several pages, without an imaging library (TIFF 6.0, baseline)."""

import struct

HEADER = struct.pack("<2sH", b"II", 42)
SHORT, LONG = 3, 4


class StackWriter:
    """Writes one section after the other to an open binary file."""

    def __init__(self, file, width, height):
        self._file = file
        self._width = width
        self._height = height
        self._link = 4  # where the offset of the next page has to be written
        file.write(HEADER + struct.pack("<I", 0))

    def add(self, pixels):
        """Append a section, given as `width * height` bytes, row by row."""
        if len(pixels) != self._width * self._height:
            raise ValueError("a section needs %d pixels, not %d" % (self._width * self._height, len(pixels)))
        strip = self._file.seek(0, 2)
        self._file.write(pixels)
        page = self._file.seek(0, 2)
        if page % 2:
            page += self._file.write(b"\0")
        self._file.write(self._directory(strip))
        self._set_link(page)
        self._link = self._file.tell() - 4

    def _directory(self, strip):
        entries = [
            (256, SHORT, self._width),
            (257, SHORT, self._height),
            (258, SHORT, 8),  # bits per sample
            (259, SHORT, 1),  # not compressed
            (262, SHORT, 1),  # zero is black
            (273, LONG, strip),
            (277, SHORT, 1),  # samples per pixel
            (278, SHORT, self._height),  # rows in the strip
            (279, LONG, self._width * self._height),
        ]
        packed = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
        return struct.pack("<H", len(entries)) + packed + struct.pack("<I", 0)

    def _set_link(self, page):
        self._file.seek(self._link)
        self._file.write(struct.pack("<I", page))
        self._file.seek(0, 2)
