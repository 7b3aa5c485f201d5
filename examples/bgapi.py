"""Run commands in the background and collect their results in whatever order they end."""

import os
import sys

import eslcodec


def main(host: str = "127.0.0.1", port: str = "8021") -> None:
    with eslcodec.connect(host, int(port), password=os.environ.get("ESL_PASSWORD", "ClueCon")) as fs:
        jobs = {command: fs.bgapi(command) for command in ("status", "version", "nosuchcommand")}
        for command, job in jobs.items():
            result = job.result(timeout=30)
            print(command, "ok" if result.ok else "failed", result.text.splitlines()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
