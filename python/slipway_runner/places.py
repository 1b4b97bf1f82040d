"""The directories of a sandbox. In production they are fixed by the image's label; tests name others."""


class Places:
    """``code``: the script's files; ``work``: its working directory; ``data``: its inputs; ``library``: ours."""

    __slots__ = ("code", "work", "data", "library")

    def __init__(self, argv: "list[str]", library: str) -> None:
        """:param argv: pairs of ``--code``, ``--work``, ``--data`` and a directory"""
        self.code, self.work, self.data, self.library = "/code", "/work", "/data", library
        for option, value in zip(argv[::2], argv[1::2]):
            setattr(self, option[2:], value)
