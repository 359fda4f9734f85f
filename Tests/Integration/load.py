"""Clients that keep asking on threads while a test breaks something, and remember everything that went wrong."""

from __future__ import annotations

import threading
import time

from resp import Frame


class Load:
    """Runs `step(client, number)` over and over on each of `clients` connections; the step returns the reply to judge.

    `errors` holds error replies and broken connections with the seconds since the start, `slowest` the longest single step.
    """

    def __init__(self, proxy, step, clients: int = 4, timeout: float = 15.0, pause: float = 0.001):
        self.proxy, self.step, self.timeout, self.pause = proxy, step, timeout, pause
        self.errors: list[tuple[float, str]] = []
        self.durations: list[tuple[float, float]] = []
        self.stopping = threading.Event()
        self.start_time = time.monotonic()
        self.threads = [threading.Thread(target=self._run, args=(index,), daemon=True) for index in range(clients)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(self.timeout + 2)
        assert not any(thread.is_alive() for thread in self.threads), "a client of the load hangs"

    def _run(self, index: int) -> None:
        number = index
        client = None
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                client = client or self.proxy.connect(timeout=self.timeout)
                reply = self.step(client, number)
                if isinstance(reply, Frame) and reply.is_error:
                    self.errors.append((began - self.start_time, str(reply.value)))
            except (OSError, AssertionError, TimeoutError) as error:
                self.errors.append((began - self.start_time, f"{type(error).__name__}: {error}"))
                if client is not None:
                    client.close()
                client = None
            ended = time.monotonic()
            self.durations.append((ended - self.start_time, ended - began))
            number += len(self.threads)
            time.sleep(self.pause)
        if client is not None:
            client.close()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.start_time

    @property
    def slowest(self) -> float:
        return max(duration for _, duration in self.durations)

    def slowest_after(self, moment: float) -> float:
        """The longest step that ended later than `moment` seconds after the start."""
        return max((duration for ended, duration in self.durations if ended > moment), default=0.0)
