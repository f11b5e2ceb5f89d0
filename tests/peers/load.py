"""Requests that run while a test changes something."""

import contextlib
import threading


class Load:
    """Runs each of several functions in a thread of its own, again and again, until the first one fails."""

    def __init__(self, *requests):
        self.counts = [0] * len(requests)
        self.failures = []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.repeat, args=pair, daemon=True) for pair in enumerate(requests)]

    def repeat(self, index, request):
        while not self.stopped.is_set():
            try:
                request()
            except Exception as failure:
                self.failures.append(failure)
                self.stopped.set()
            self.counts[index] += 1

    @contextlib.contextmanager
    def running(self):
        """Runs the functions during the block. The block fails if one of them fails."""
        for thread in self.threads:
            thread.start()
        try:
            yield self
        finally:
            self.stopped.set()
            for thread in self.threads:
                thread.join()
            self.check()

    def check(self):
        if self.failures:
            raise AssertionError(f"a request failed after {sum(self.counts)}: {self.failures[0]}") from self.failures[0]

    def is_past(self, counts):
        """Returns `True` if each function has begun and ended a call since its count was `counts`."""
        self.check()
        return all(now >= before + 2 for now, before in zip(self.counts, counts))
