"""The error of the release Job that is meant for the user."""


class ReleaseRefusedError(Exception):
    """This release must not go on. The message is for the user."""
