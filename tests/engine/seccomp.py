"""A system call denied to a child process, as a container or an old kernel would: code to put in front of the child's own."""

from __future__ import annotations

import platform
import sys

import pytest

linux_x86_64 = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the filter is made for Linux on x86-64"
)

DENY = """
import ctypes, struct

def deny_system_call(number, argument, error):
    \"\"\"Let this system call fail with `error`, if its first argument is `argument` (None: any). False: not possible here.\"\"\"
    LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06       # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    NUMBER, ARCHITECTURE, ARGUMENT = 0, 4, 16       # where struct seccomp_data has them
    ALLOW, FAIL, X86_64 = 0x7FFF0000, 0x00050000, 0xC000003E
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (IF_EQUAL, 0, 5, X86_64),
        (LOAD, 0, 0, NUMBER),
        (IF_EQUAL, 0, 3, number),
        (LOAD, 0, 0, ARGUMENT),
        (IF_EQUAL, 0, 1, argument) if argument is not None else (IF_EQUAL, 0, 0, 0),
        (RETURN, 0, 0, FAIL | error),
        (RETURN, 0, 0, ALLOW),
    ]
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]

    PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
    prctl = ctypes.CDLL(None).prctl
    filter = Program(len(program), ctypes.addressof(instructions))
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 == prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter))
"""
