"""The one error a user may cause: it says, in one sentence, what to mend."""


class InputError(ValueError):
    """Bad input. The message is one sentence that names the file, the key, what was found and what was expected."""
