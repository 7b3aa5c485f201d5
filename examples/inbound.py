"""Log in and follow calls as they come and go, for ever: reconnect when the switch goes away."""

import os
import sys

import eslcodec


def main(host: str = "127.0.0.1", port: str = "8021") -> None:
    password = os.environ.get("ESL_PASSWORD", "ClueCon")
    with eslcodec.connect(host, int(port), password=password, reconnect=True) as fs:
        fs.subscribe(*eslcodec.presets.CALLS, format="json")
        for event in fs.events():
            if isinstance(event, eslcodec.Gap):
                print(f"missed {event.seconds:.1f} s: {event.reason}", flush=True)
                continue
            caller, callee = event.select("Caller-Caller-ID-Number", "Caller-Destination-Number")
            print(event.timestamp, event.name, event.uuid, caller, "->", callee, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
