#!/usr/bin/env python3
"""Call somebody and say how the call went: a program for FreeSWITCH's own module, of which nothing was changed.

python -m eslcodec.ESL esl_script.py 127.0.0.1 8021 user/1000
"""

import os
import sys

import ESL


def main(host, port, target):
    con = ESL.ESLconnection(host, port, os.environ.get("ESL_PASSWORD", "ClueCon"))
    if not con.connected():
        print("not connected")
        sys.exit(2)
    con.events("plain", "BACKGROUND_JOB CHANNEL_ANSWER CHANNEL_HANGUP")
    job = con.bgapi("originate", target + " &park").getHeader("Job-UUID")
    while con.connected():
        e = con.recvEventTimed(1000)
        if e is None:
            continue
        name = e.getHeader("Event-Name")
        if name == "BACKGROUND_JOB" and e.getHeader("Job-UUID") == job:
            body = e.getBody().strip()
            print("job:", body.split()[0], flush=True)
            if body.startswith("-ERR"):
                break
            con.api("uuid_kill", body.split()[1])
        elif name == "CHANNEL_ANSWER":
            print("answered:", e.getHeader("Caller-Destination-Number"), flush=True)
        elif name == "CHANNEL_HANGUP":
            print("hung up:", e.getHeader("Hangup-Cause"), flush=True)
            break
    con.disconnect()


main(*sys.argv[1:])
