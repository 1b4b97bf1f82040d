"""Runs the Python unit tests and writes what run-file.cjs reads: one JSON object per line into a file.

Usage: python3 run_python.py RESULTS_FILE START_DIRECTORY TOP_DIRECTORY [FILE_PATTERN]
"""

import json
import sys
import unittest
from typing import TextIO


class JsonLines(unittest.TestResult):
    """Reports each test as it ends; a test with a failed subtest has failed."""

    def __init__(self, results: TextIO) -> None:
        super().__init__()
        self._results = results
        self._failed_subtests: set[str] = set()

    def _say(self, event: str, test: unittest.TestCase, **more: str) -> None:
        self._results.write(json.dumps({"event": event, "name": test.id(), **more}) + "\n")
        self._results.flush()

    def startTest(self, test):
        super().startTest(test)
        self._say("start", test)

    def addSuccess(self, test):
        if test.id() not in self._failed_subtests:
            self._say("passed", test)

    def addFailure(self, test, err):
        self._say("failed", test, detail=self._exc_info_to_string(err, test))

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._failed_subtests.add(test.id())
            self._say("failed", subtest, detail=self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        self._say("skipped", test, reason=reason)

    def addExpectedFailure(self, test, err):
        self._say("passed", test)

    def addUnexpectedSuccess(self, test):
        self._say("failed", test, detail="It was expected to fail and passed.")


def main(results_file: str, start: str, top: str, pattern: str = "test*.py") -> None:
    tests = unittest.defaultTestLoader.discover(start, pattern=pattern, top_level_dir=top)
    with open(results_file, "w", encoding="utf-8") as results:
        tests.run(JsonLines(results))


main(*sys.argv[1:])
