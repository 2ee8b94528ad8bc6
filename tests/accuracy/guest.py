# SPDX-License-Identifier: Apache-2.0
"""Reading and writing a raw image by the virtual addresses of its guest: for tests that damage or plant something."""
import struct


class Memory:
    def __init__(self, path, dtb):
        self.f, self.dtb = open(path, 'r+b'), dtb

    def physical(self, va):
        table = self.dtb
        for shift in (39, 30, 21, 12):
            self.f.seek((table & 0xffffffffff000) + (va >> shift & 511) * 8)
            table = struct.unpack('<Q', self.f.read(8))[0]
            if not table & 1:
                raise KeyError(hex(va))
            if shift != 12 and table & 0x80:
                size = (1 << shift) - 1
                return (table & 0xffffffffff000 & ~size) | va & size
        return table & 0xffffffffff000 | va & 0xfff

    def read(self, va, n=8):
        self.f.seek(self.physical(va))
        return self.f.read(n)

    def pointer(self, va):
        return struct.unpack('<Q', self.read(va))[0]

    def write(self, va, data):
        self.f.seek(self.physical(va))
        self.f.write(data if isinstance(data, bytes) else struct.pack('<Q', data))
