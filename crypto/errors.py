"""The errors of Doudi: a stable code for programs and the border, a sentence for the log.

Across a party's border only the code travels, so neither the code nor the message may hold keys, identities or
payloads. Imports nothing.
"""


class DoudiError(Exception):
    """The base of every error that Doudi raises on purpose.

    `code`: dotted lower case, for example "crypto.bad_signature"; it is part of the interface and is never reworded.
    `message`: what, expected, got, without final full stop. `next_step`: what the reader should do; may be empty.
    """

    def __init__(self, code: str, message: str, next_step: str = "") -> None:
        # All three go to Exception.args, so that the error survives pickling between processes.
        super().__init__(code, message, next_step)
        self.code = code
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        text = f"{self.code}: {self.message.rstrip('.')}."
        return f"{text} {self.next_step}" if self.next_step else text


class CryptoError(DoudiError):
    """What every function of this package raises for keys, bytes or arrays that it refuses.

    There are no subclasses: no caller recovers differently from one of these, each of them ends the step.
    """
