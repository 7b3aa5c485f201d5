"""Call somebody, say what came of it, and play a file to who answers."""

import os
import sys

import eslcodec


def main(target: str = "user/1000", host: str = "127.0.0.1", port: str = "8021") -> None:
    with eslcodec.connect(host, int(port), password=os.environ.get("ESL_PASSWORD", "ClueCon")) as fs:
        made = fs.originate(
            target,
            application="playback",
            argument="ivr/ivr-welcome.wav",
            variables={"ignore_early_media": True, "note": "called by examples/originate.py, it's fine"},
            caller_id_name="Example",
            timeout=20,
        )
        print(target, made.reason, made.cause)


if __name__ == "__main__":
    main(*sys.argv[1:])
