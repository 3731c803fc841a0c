"""The turns of one attempt: good answers and repair requests stay, of refused answers only the last. Pure."""

from __future__ import annotations

from swarm_agent.model import Turn


class Conversation:
    """Begins with the user message; providers demand that roles alternate and that no turn is empty."""

    def __init__(self, user: str) -> None:
        self._kept = [Turn("user", user)]
        self._refused: tuple[Turn, ...] = ()
        self._note = ""

    def turns(self) -> tuple[Turn, ...]:
        """Return what to send."""
        turns = (*self._kept, *self._refused)
        return (*turns[:-1], Turn("user", turns[-1].text + self._note))

    def refuse(self, answer: str, message: str) -> None:
        """Ask again because of what `message` says about the answer."""
        self._refused = (
            Turn("assistant", answer if answer.strip() else "(no answer)"),
            Turn("user", message),
        )
        self._note = ""

    def shorten(self, note: str) -> None:
        """Ask again for less: the answer was cut off, and repeating half of it would help nobody."""
        self._note = note

    def accept(self, answer: str, message: str) -> None:
        """Keep the answer and go on with `message`."""
        self._kept += [Turn("assistant", answer), Turn("user", message)]
        self._refused, self._note = (), ""
