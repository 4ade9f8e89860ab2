"""Readable structs in gdb: `source scripts/gdb.py`, or `gdb -x scripts/gdb.py`.

    p *request, p *response    one line, without what is empty
    scoreboard POINTER         a line for each process of a struct scoreboard
"""

import gdb

SHOWN = 200  # of a body, in bytes


def text(value):
    """A char array or pointer as a Python string; "" for NULL."""
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_PTR and not int(value):
        return ""
    return value.string(errors="replace").split("\0")[0]


def is_text(value):
    kind = value.type.strip_typedefs()
    return kind.code in (gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_PTR) and kind.target().unqualified().strip_typedefs().sizeof == 1


def fields(value, leave_out=()):
    """The members of a struct that are not 0 and not empty, as name=value."""
    shown = []
    for field in value.type.fields():
        member = value[field.name]
        if field.name in leave_out:
            continue
        if is_text(member):
            string = text(member)
            if string:
                shown.append(f'{field.name}="{string}"')
        elif member.type.strip_typedefs().code not in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_ARRAY) and int(member):
            shown.append(f"{field.name}={member}")
    return " ".join(shown)


def bytes_of(pointer, length):
    """The first bytes of a body as text."""
    length = int(length)
    if not int(pointer) or not length:
        return ""
    shown = bytes(gdb.selected_inferior().read_memory(int(pointer), min(length, SHOWN))).decode(errors="replace")
    return f" body[{length}]={shown!r}" + ("..." if length > SHOWN else "")


class Struct:
    """One line for a struct: its members that are not empty, and its body as text."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        names = {field.name for field in self.value.type.fields()}
        line = fields(self.value, ("body", "body_length", "memory", "headers_inline"))
        if {"body", "body_length"} <= names:
            line += bytes_of(self.value["body"], self.value["body_length"])
        return "{" + line + "}"


def printer(value):
    kind = value.type.strip_typedefs().unqualified()
    return Struct(value) if kind.tag in ("request", "response", "scoreboard_entry") else None


class Scoreboard(gdb.Command):
    """scoreboard POINTER: a line for each process of a struct scoreboard."""

    def __init__(self):
        super().__init__("scoreboard", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, _from_tty):
        board = gdb.parse_and_eval(argument)
        if board.type.strip_typedefs().code == gdb.TYPE_CODE_PTR:
            board = board.dereference()
        entry = gdb.lookup_type("struct scoreboard_entry").pointer()
        slot = 0
        # A slot past the last worker has no process, and so has one whose worker is gone: a few more are looked at.
        idle = 0
        while idle < 4:
            try:
                value = (board["entries"] + slot * int(board["stride"])).cast(entry).dereference()
                running = int(value["pid"])
            except gdb.MemoryError:
                break
            idle = 0 if running else idle + 1
            if running:
                print(f"{slot}: {Struct(value).to_string()}")
            slot += 1


gdb.pretty_printers.append(printer)
Scoreboard()
