"""Counter-based noise: the same key and counter give the same number, whatever happened before.

A price process that draws from it depends on the seed and the time step only, so a restart or a skipped step does
not shift everything after it, as it would with a stateful generator.
"""

import hashlib

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MEAN = 131_070.0  # of the sum of four 16-bit numbers
_DEVIATION = 37_837.23  # of the same: 65536 / sqrt(3)


def noise_key(seed: int, name: str) -> int:
    """Derive the key of one independent stream of noise."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def gaussian(key: int, counter: int) -> float:
    """Return a nearly normal number of mean 0 and deviation 1, within +-3.5.

    splitmix64, its 64 bits read as four uniform numbers and summed: about 1 microsecond, which matters because a
    symbol's history takes 30,000 of them.
    """
    z = (key + counter * _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    z ^= z >> 31
    total = (z & 0xFFFF) + ((z >> 16) & 0xFFFF) + ((z >> 32) & 0xFFFF) + (z >> 48)
    return (total - _MEAN) / _DEVIATION
