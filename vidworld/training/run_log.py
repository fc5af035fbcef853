"""The records of a run folder: what produced the run, its configuration, and its metrics as they come."""

import io
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidworld.core.config import to_yaml
from vidworld.core.errors import UserError
from vidworld.core.records import (
    append,
    as_line,
    plain,
    prepare_folder,
    provenance,
    read_json,
    read_jsonl,
    write_json,
    write_text,
)


class RunLog:
    """config.yaml and provenance.json at once, then metrics.jsonl and TensorBoard's file.

    A fresh run replaces the records of an earlier one. A run that resumes after `resumed_step` drops the rows
    after that step, counts its seconds on from there, and is added to `resumed` of the first provenance.
    Only the main process writes; on the others nothing happens.
    """

    def __init__(
        self, folder: Path, config: object, seed: int, main: bool = True, resumed_step: int | None = None
    ) -> None:
        self.main = main
        self.metrics = folder / "metrics.jsonl"
        self._unwritten: dict[Path, bytes] = {}
        self._refused = False
        self._started = time.monotonic()
        if not main:
            return
        board = prepare_folder(folder / "tensorboard")
        record = provenance(seed)
        rows: list[dict[str, Any]] = []
        if resumed_step is not None:
            rows = [row for row in read_jsonl(self.metrics) if row["step"] <= resumed_step]
            self._started -= rows[-1]["seconds"] if rows else 0.0
            first = read_json(folder / "provenance.json")
            record = first | {"resumed": [*first.get("resumed", []), {"after_step": resumed_step} | record]}
        else:
            for old in board.glob("events.out.tfevents.*"):
                old.unlink()
        write_text(folder / "config.yaml", to_yaml(config))
        write_json(folder / "provenance.json", record)
        write_text(self.metrics, "".join(as_line(row).decode() for row in rows))
        self._events = board / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        append(self._events, _first_events(resumed_step))

    @property
    def seconds(self) -> float:
        """Since the run began, without the time between a stop and its resumption."""
        return time.monotonic() - self._started

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Adds the values of a step to metrics.jsonl, and the numbers among them to TensorBoard.

        What the system refuses to write is said once, kept, and tried again with the next step's.
        """
        if not self.main:
            return
        row = plain({"step": step, **values, "seconds": round(self.seconds, 3)})
        numbers = {name: float(row[name]) for name in values if isinstance(row[name], (int, float))}
        for path, data in ((self.metrics, as_line(row)), (self._events, _event(step, numbers))):
            self._unwritten[path] = self._unwritten.get(path, b"") + data
        self.flush()

    def flush(self) -> None:
        """Writes what was refused before."""
        try:
            for path in list(self._unwritten):
                append(path, self._unwritten[path])
                del self._unwritten[path]
            self._refused = False
        except UserError as error:
            if not self._refused:
                print(
                    f"warning: {error}; training goes on, and keeps its metrics until they can be", flush=True
                )
            self._refused = True


def _first_events(resumed_step: int | None) -> bytes:
    """What a file of TensorBoard's begins with; where a run resumes, that what it had after that step is void."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    now = time.time()
    events = _framed(Event(wall_time=now, file_version="brain.Event:2"))
    if resumed_step is not None:
        start = SessionLog(status=SessionLog.START)
        events += _framed(Event(wall_time=now, step=resumed_step + 1, session_log=start))
    return events


def _event(step: int, numbers: Mapping[str, float]) -> bytes:
    """A step's numbers, as TensorBoard's files have them.

    Made here and not by its SummaryWriter, whose thread dies of a full disk.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=name, simple_value=number) for name, number in numbers.items()]
    return _framed(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))


def _framed(event: Any) -> bytes:
    """An event with its length and checksums."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    framed = io.BytesIO()
    RecordWriter(framed).write(event.SerializeToString())
    return framed.getvalue()
