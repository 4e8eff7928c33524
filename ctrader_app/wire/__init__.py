"""What crosses a process boundary: bytes on one side, frozen types on the other. Every parser is total."""
