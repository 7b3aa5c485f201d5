"""Answer calls that the dialplan sends here, play a file, hang up.

In the dialplan: <action application="socket" data="127.0.0.1:8084 async full"/>
"""

import sys

import eslcodec


def greet(call: eslcodec.sync.Call) -> None:
    print("call from", call.data.get("Caller-Caller-ID-Number"), flush=True)
    call.answer(wait=True)
    played = call.playback("ivr/ivr-welcome.wav", wait=True)
    print("played:", played.get("Application-Response"), flush=True)
    call.hangup()


def main(host: str = "127.0.0.1", port: str = "8084") -> None:
    with eslcodec.serve(greet, host, int(port)) as server:
        print("listening on port", server.port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
