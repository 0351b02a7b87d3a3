"""Spans, metrics and log records of calls for OpenTelemetry: imported only if a setting asks for
them, after the port is open (docs/observe.md).
"""
