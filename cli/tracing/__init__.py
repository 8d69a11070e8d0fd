"""Traces, for whoever has a collector.

`choice.py` says whether programs are traced and `parts.py` what they are put together from. The parts themselves know
nothing of it: `served.py`, `messages.py` and `calls.py` put spans around them, by `spans.py`.

An event's `traceparent` is how one part tells the next what it is in: it is replaced on the way in (of the request, of
the batch) and on the way out (to the broker), and keeps its trace id throughout. What a span may say of an event is its
id, its kind and its integration; of a statement the name of its file; of a call the path's known words. Nothing of it
comes from a payload, a header or a setting.
"""
