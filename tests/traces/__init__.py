"""Tests of what is sent by OpenTelemetry."""
