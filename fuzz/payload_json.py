"""Any bytes as the payload of a text/event-json: see _common.py for what is asserted."""

from _common import main, payload_target

if __name__ == "__main__":
    main(payload_target("json"))
