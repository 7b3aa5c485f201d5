"""The parts of the Python core, a module for each subject. `_codec_py.py` joins them; nothing else imports from here.

A module imports only from those before it in this list:

* `formats`: how a header block or an event payload is written
* `text`: bytes of the wire as text and back; percent-encoding; arrays
* `lines`: header lines; `parse_pairs`, `parse_headers`
* `json_out`: events as JSON
* `templates`: what the messages of a decoder remember together
* `json_in`, `xml_in`: payloads in JSON and XML
* `splitter`: frames; `FrameSplitter`
* `message`: what a frame says; `Message`
* `decoder`: frames as messages; `MessageDecoder`
* `header_reader`: the look-ups of the official module; `HeaderReader`
* `next_number`: events that are the next by number; `NextNumber`
* `channel_filter`: events that say nothing new of a channel; `ChannelFilter`
* `row_reader`: many headers at once, as what they are; `RowReader`

`src/core/*.pxi` are the parts of the compiled core, under the same names.
"""
