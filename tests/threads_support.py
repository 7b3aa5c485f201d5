"""Events and frames that the tests of threads and of interpreters read."""

from __future__ import annotations

from support import frame, plain

PAYLOADS = {
    "plain": b"Event-Name: A\nEvent-Name: DTMF\nvariable_x: a%20b\nlist: ARRAY::1|:2\nX-x: 1\nx-X: 2\n\nbody",
    "json": b'{"Event-Name":"DTMF","variable_x":"a \\"b\\"","list":["1","2"],"X-x":"1","x-X":"2","_body":"body"}',
    "flat json": b'{"Event-Name":"DTMF","list":["1","2"],"n":5,"t":true,"caller":"Jos\xe9"}',
    "nested json": b'{"Event-Name":"DTMF","list":{"a":[1]},"n":[[]]}',
    "repeated json": b'{"Event-Name":"DTMF","list":"1","Event-Name":"B","list":"2"}',
    "xml": b"<event><headers><Event-Name>DTMF</Event-Name><variable_x>a%20b</variable_x></headers></event>",
    "malformed json": b'{"Event-Name":"DTMF"',
    "malformed xml": b"<event><headers>",
}


def event_of(name: str) -> bytes:
    return frame(b"Content-Type: text/event-" + name.rpartition(" ")[2].encode(), PAYLOADS[name])


FRAMES = [plain(b"Event-Name: N%d\nA: %b\n\n" % (number, b"x" * (number % 97))) for number in range(150)]
