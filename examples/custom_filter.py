"""Receive one kind of CUSTOM event, and of those only what a filter in the switch lets through."""

import os
import sys

import eslcodec


def main(host: str = "127.0.0.1", port: str = "8021") -> None:
    with eslcodec.connect(host, int(port), password=os.environ.get("ESL_PASSWORD", "ClueCon")) as fs:
        fs.filter("from-user", "/^10[0-9][0-9]$/")  # filters first: nothing comes unfiltered
        fs.subscribe(custom=["sofia::register", "sofia::unregister"])
        print("waiting", flush=True)
        for event in fs.events():
            print(event.subclass, event.get("from-user"), event.get("network-ip"), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
