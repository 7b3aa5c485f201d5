"""Every bound of the codec, each with its reason.

Crossing one raises a subclass of `LimitExceeded` that carries the numbers. A decoder takes its own values for the first
three; the rest are fixed.
"""

from __future__ import annotations

from typing import Final

MAX_HEADER_BYTES: Final = 1 << 20
"""One header block, its blank line included.

The largest block a switch sends is the reply to an outbound `connect`: every variable of a channel, far beyond 64 KiB
when variables hold documents. Without a bound a peer that never sends a blank line would fill the memory.
"""

MAX_BODY_BYTES: Final = 64 << 20
"""One body. The switch's own clients stop at 16 MiB, its API output does not; four times that is room enough."""

READ_AHEAD_BYTES: Final = 64 << 20
"""What may wait beside one frame of the largest size, unless `max_buffered` says otherwise: a reader that feeds more
than this without taking messages out has a bug that should not become an out-of-memory kill."""

RECEIVE_BYTES_MIN: Final = 64 << 10
RECEIVE_BYTES_MAX: Final = 256 << 10
"""What `get_buffer` offers: a socket seldom has more than 256 KiB ready, and less than 64 KiB wastes calls. It begins
with the least; a read that fills it doubles it, and small reads take it back."""

MEMO_LINES: Final = 4096
MEMO_LINE_BYTES: Final = 512
"""What a decoder remembers between messages: about 40 events' worth of distinct header lines, none longer than this.
Successive events repeat nine lines in ten."""

MEMO_NAMES: Final = 2048
MEMO_NAME_BYTES: Final = 64
MEMO_VALUE_BYTES: Final = 4096
MEMO_BYTES: Final = 64 << 10
"""The compiled core's way to the same: of so many names, none longer than the second, the value that came last, as the
switch wrote it, none longer than the third and all together no longer than the last; and the value before that, while
half of the bytes are free. With the objects that are made of them a switch's usual 250 names take some 90 KB, and the
worst 4 MB. Bodies are never kept. Beside them eight dicts of events, and as many as 32 while `JSON_DICTS_BYTES_ALL` has
room."""

LAST_VALUES_BYTES: Final = 64 << 10
JSON_VALUE_BYTES: Final = 256
"""What a decoder's compiled core keeps of JSON events' last values, each of a name, and the longest of them: 1 500
headers of a channel full of variables have 40 KB. While half of it is free, the value before the last is kept too."""

JSON_NAMES: Final = 4096
JSON_NAME_BYTES: Final = 256
JSON_NAMES_BYTES: Final = 128 << 10
"""How many names of members it remembers beside them, the longest name, and the bytes of all names. An event with more
is read without. A switch has some 400 names."""

JSON_DICTS_BYTES: Final = 128 << 10
JSON_DICTS_BYTES_ALL: Final = 6 << 20
"""Dicts that are kept to be copied: of a decoder, those of about 30 JSON events, and of all decoders of the process,
those of plain events included."""

JSON_REFUSALS: Final = 16_384
"""After so many names and values for which there was no room, what is remembered is not what comes: it is forgotten."""

NOTICE_BYTES: Final = 1024
KEPT_FRAME_BYTES: Final = 64 << 10
"""What is kept of the frame that came out last, for `IncompleteFrame` to look in: no notice of a switch is longer than
the first. A frame up to the second is kept whole, because that takes no copy."""


EVENT_QUEUE: Final = 4096
"""Messages that may wait for the reader of a connection before its socket is left alone: half a second of a busy
switch, about 20 MB. Then the switch queues them, and `SWITCH_QUEUE` counts."""

EVENT_QUEUE_HARD: Final = 65_536
"""The same while somebody waits for a reply, which comes after the events on the wire: the reader may be the one who
waits. Beyond it waiting is in vain and ends with `EventQueueFull`; about 300 MB."""

EVENT_QUEUE_BYTES: Final = 64 << 20
EVENT_QUEUE_HARD_BYTES: Final = 512 << 20
"""The two bounds in bytes, for events that are larger than a busy switch's 5 KB: a hostile one could send each with a
body of `MAX_BODY_BYTES`. They are looked at after each read, so that one frame of the largest size may go beyond."""

SWITCH_QUEUE: Final = 25_000
PAUSE_SECONDS: Final = 60.0
"""How many events may wait in the switch, by our estimate, and how long a socket with something in it may stay unread,
before we end the connection ourselves. The switch queues 100 000 events for a connection; when it kills one it holds
the lock of all others for as long as ten minutes, so we end it well before."""

RATE_SECONDS: Final = 60.0
RATE_LEAST_SECONDS: Final = 5.0
"""Over how much time of reading the rate of events is taken, and how much it is at least: a first burst is no rate."""

UNREAD_SECONDS: Final = 2.0
"""After so long without a read by anybody the caretaker of the blocking client reads into the queue. Shorter pauses are
common and harmless: the kernel's buffers and the switch's queue take them."""

CARETAKER_SECONDS: Final = 0.5
CARETAKER_BYTES: Final = 4 << 20
"""How often the caretaker looks at each connection, and what it reads of one at most before the next has its turn."""

LOGIN_BYTES: Final = 1 << 20
"""What may arrive before the login is answered, beside one header block of the largest size: a greeting or a channel's
data is all that a switch sends then. Whoever connects to `serve` could fill the memory otherwise."""

LISTEN_BACKLOG: Final = 1024
"""Connections that may wait in the kernel to be accepted: a burst of calls. The usual 100 are less."""

LISTEN_AGAIN_SECONDS: Final = 0.1
"""How often a server that has room again tries to listen at its address, if another program has taken it: a switch that
is refused does not wait but tries its next host."""

REFUSALS: Final = 256
REFUSAL_SECONDS: Final = 3.0
"""Calls beyond `max_calls` that are told to go on in the dialplan at a time, and how long one may take for that; more
wait in the kernel. A switch answers within a few hundredths of a second, so a thousand calls are through in less than
one; Windows can watch 512 sockets at once."""

UNSENT_BYTES: Final = 1 << 20
"""What a peer has not taken yet of what was sent. While it is more, the next command waits, within its timeout: a peer
that stopped reading would fill the memory. One command may go beyond."""

JOBS: Final = 65_536
"""Background jobs whose results are awaited. The result of an earlier one will hardly come any more (a filter keeps it
back, say), so with one more job the oldest fails."""

MAX_COMMAND_BYTES: Final = 10 << 20
MAX_COMMAND_BODY_BYTES: Final = 16 << 20
MAX_JOB_UUID_BYTES: Final = 256
"""What the switch takes: of a command with its headers and blank line (it cuts there), of its body (it closes the
connection), and of a Job-UUID. A builder that goes beyond raises `InvalidCommand`."""

DIGITS: Final = 4096
"""Digits of a call that wait for whoever iterates `dtmf`. A caller may press keys for hours with nobody there: beyond
it the oldest are dropped."""

UNKNOWN_NAMES: Final = 256
"""Event names unknown to us of which it is remembered that the log has them; programs use a few."""

RESUBSCRIBE_TRIES: Final = 3
"""How often in a row a switch may refuse, on a new connection, what was subscribed to on the old one. Otherwise a
switch whose permissions changed would be asked for ever, and the reader would never hear of it."""

RECORD_CHUNK_BYTES: Final = 64 << 20
RECORD_HEAD_BYTES: Final = 64 << 20
"""The data of one chunk of a recording, unpacked, and its head with what was sent, or a seek table. A recorder makes
chunks of a megabyte; a few bytes that say they become gigabytes are damage."""

RECORD_READ_BYTES: Final = 256 << 10
RECORD_READ_BYTES_MAX: Final = 1 << 20
"""How much of a recording is read at a time: at least, and at most however large the chunk says that it is."""

RECORDER_CHUNK_BYTES: Final = 1 << 20
RECORDER_CHUNK_ENTRIES: Final = 1 << 16
RECORDER_BUFFER_BYTES: Final = 64 << 20
"""What a recorder puts into a chunk, and how many reads and sends; what may wait for its writer in all. A megabyte
compresses about as well as more; 64 MB are seconds of the busiest switch: a disk that stands still for longer would
fill the memory."""

RECORDER_LINGER_SECONDS: Final = 1.0
"""How long after the end of a connection a recorder keeps its file open for the next one: a reconnection comes about as
soon. Then neither file nor thread is left of it: a server makes a recorder for each call."""

RECORDER_EXIT_SECONDS: Final = 10.0
"""How long the end of the process waits for a recorder that was not closed: a disk may not answer any more."""

NEXT_NUMBER_BYTES: Final = 2048
"""Where an event's number is looked for when nothing else of it is read: a switch writes it within the first 700."""

FATES: Final = 10_000
"""Of how many channels is kept whether they were answered or hung up, while the outcome of an originate is waited for:
the events of a second or more of the busiest switch, where milliseconds lie between a call's answer and its job's
result."""

MAX_LEGS: Final = 128
MAX_VARIABLES: Final = 1000
"""What a dial string may hold: the switch has room for 128 legs and for 1024 parts of a block, and reads what is left
over as a part of the last one."""

BOUND_CEILING: Final = 10**18
"""Every bound is below this, so that sums of them fit in 64 bits. Longer Content-Lengths are not worth converting."""


def default_max_buffered(max_header_bytes: int, max_body_bytes: int) -> int:
    """The default of `max_buffered`: one frame of the largest size and `READ_AHEAD_BYTES` beside it.

    Example:
        >>> default_max_buffered(1 << 20, 64 << 20) >> 20
        129
    """
    return min(max_header_bytes + max_body_bytes + READ_AHEAD_BYTES, BOUND_CEILING - 1)
