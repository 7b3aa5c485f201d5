"""A day of events into call records, as lines of JSON and as a CSV.

python call_records.py rec calls        # what `eslcodec record --dir rec` keeps, into calls.ndjson and calls.csv
"""

import csv
import sys

from eslcodec.ingest import calls

COLUMNS = ["created", "caller", "callee", "outcome", "talk_seconds", "ended_by", "cause", "status"]


def main(recording: str = "rec", name: str = "calls") -> None:
    with open(f"{name}.ndjson", "wb") as lines, open(f"{name}.csv", "w", newline="", encoding="utf-8") as table:
        rows = csv.DictWriter(table, COLUMNS, extrasaction="ignore")
        rows.writeheader()
        for call in calls(recording):
            lines.write(call.to_json() + b"\n")
            rows.writerow(call.asdict())


if __name__ == "__main__":
    main(*sys.argv[1:])
