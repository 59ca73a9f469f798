"""A small Pulumi engine, for machines without the Pulumi CLI.

It runs an unmodified Pulumi program in Python and keeps its stack as Pulumi does, so that either engine
goes on where the other stopped. Where to find what:

    operations   up, preview, refresh, destroy on a stack: the front door
    project      Pulumi.yaml, configuration          secrets      the passphrase scheme
    backend      the file:// backend: files, locks   state        resources as checkpoints have them
    program      runs the program                    server       the gRPC services that it talks to
    components   remote components                   providers/   kubernetes, docker, random
    plan         decides what to do                  deployment   does it
    hooks        the program's resource hooks
    journal      state on disk while it is done      events       what the display hears of it

Limits, each with an error that says so: Python programs; file:// backends; the passphrase secrets
provider; the three providers; no functions of providers (`invoke`), resource methods, delete hooks in
`destroy`, parameterized packages, stack references, policies, `--target`. Where it differs: a provider
whose configuration changes is updated, its resources stay (Pulumi may replace them); deletes of protected
resources are refused before any other delete; after a kill, what was under way is found again or
finished by the next run (Pulumi asks the user).
"""
