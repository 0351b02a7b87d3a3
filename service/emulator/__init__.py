"""Function Compute, played on the desk from the `s.yaml` that is deployed.

`spec` reads the file, `instance` and `pool` play the instances, `api` answers InvokeFunction,
`tasks` keeps asynchronous calls, `local` puts them together. docs/emulator.md says what is
played, and what the platform's documents leave open.
"""
