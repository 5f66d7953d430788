"""The one exception that users are meant to read."""


class UserError(Exception):
    """A mistake that its user can mend: one line that names what is wrong and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """
