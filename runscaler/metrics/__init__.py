"""Metrics in Prometheus' text format (docs/metrics.md): which there are, what is stored, how it is written.

Facts are counted where they occur; gauges are read from published snapshots when somebody asks.
Nothing here knows GitHub, the actors or the web server.
"""
