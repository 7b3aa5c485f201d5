"""What `eslcodec.ESL` is made of, FreeSWITCH's own Python module (docs/protocol/esl-module.md).

In the order of imports: arguments, settings, frames, json_text, commands, turns, event, link, connection.
"""
