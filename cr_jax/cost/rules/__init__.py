"""The rules that cost one instruction: arithmetic by opcode, and traffic."""
