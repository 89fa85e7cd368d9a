"""What was read of a file, for the audit: its SHA-256."""

from hashlib import sha256

from worker.accounts.csv_file import ByteLines


class DigestedLines:
    """Reads on from `lines`, and keeps count and digest of what it has read."""

    def __init__(self, lines: ByteLines) -> None:
        self._lines = lines
        self._digest = sha256()
        self.byte_count = 0

    def readline(self, size: int, /) -> bytes:
        """Return the next line with its end, at most `size` bytes of it, or nothing at the end."""
        line = self._lines.readline(size)
        self._digest.update(line)
        self.byte_count += len(line)
        return line

    @property
    def sha256(self) -> str:
        """The digest of all that was read so far, in hexadecimal digits."""
        return self._digest.hexdigest()
