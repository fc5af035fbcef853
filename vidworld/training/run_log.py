"""The records of a run: what produced it, its configuration, and its metrics as they come, in its folder and beyond."""

import importlib.util
import io
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vidworld.core.config import resolved, to_yaml
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
    Other trackers get the metrics besides. Only the main process writes; on the others nothing happens.
    """

    def __init__(
        self,
        folder: Path,
        config: object,
        seed: int,
        main: bool = True,
        resumed_step: int | None = None,
        trackers: Sequence[str] = ("tensorboard",),
    ) -> None:
        self.main, self.metrics = main, folder / "metrics.jsonl"
        self._unwritten: dict[Path, bytes] = {}
        self._refused, self._started = False, time.monotonic()
        self._events: Path | None = None
        self._trackers: list[_Tracker] = []
        if not main:
            return
        board = prepare_folder(folder / "tensorboard") if "tensorboard" in trackers else None
        record = provenance(seed)
        rows: list[dict[str, Any]] = []
        if resumed_step is not None:
            rows = _rows_until(resumed_step, self.metrics)
            self._started -= rows[-1]["seconds"] if rows else 0.0
            first = read_json(folder / "provenance.json")
            before = first.get("resumed", []) if isinstance(first, dict) else None
            if not isinstance(before, list):
                raise UserError(f"{folder / 'provenance.json'}: is no record of a run; write {{}} in it to go on")
            record = first | {"resumed": [*before, {"after_step": resumed_step} | record]}
        else:
            for old in (folder / "tensorboard").glob("events.out.tfevents.*"):
                old.unlink()
        write_text(folder / "config.yaml", to_yaml(config))
        write_json(folder / "provenance.json", record)
        write_text(self.metrics, "".join(as_line(row).decode() for row in rows))
        if board is not None:
            self._events = board / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
            append(self._events, _first_events(resumed_step))
        self._trackers = [_Tracker(name, str(folder), config) for name in trackers if name != "tensorboard"]

    @property
    def seconds(self) -> float:
        """Since the run began, without the time between a stop and its resumption."""
        return time.monotonic() - self._started

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Add the values of a step to metrics.jsonl, and the numbers among them to the trackers.

        What the system refuses to write is said once, kept, and tried again with the next step's.
        """
        if not self.main:
            return
        row = plain({"step": step, **values, "seconds": round(self.seconds, 3)})
        numbers = {name: float(row[name]) for name in values if isinstance(row[name], (int, float))}
        self._unwritten[self.metrics] = self._unwritten.get(self.metrics, b"") + as_line(row)
        if self._events is not None:
            self._unwritten[self._events] = self._unwritten.get(self._events, b"") + _event(step, numbers)
        self._flush()
        for tracker in self._trackers:
            tracker.log(numbers, step)

    def close(self) -> None:
        """Write what was refused before, and end the trackers' runs."""
        self._flush()
        for tracker in self._trackers:
            tracker.finish()

    def _flush(self) -> None:
        try:
            for path in list(self._unwritten):
                append(path, self._unwritten[path])
                del self._unwritten[path]
            self._refused = False
        except UserError as error:
            if not self._refused:
                print(f"warning: {error}; training goes on, and keeps its metrics until they can be", flush=True)
            self._refused = True


def _rows_until(step: int, path: Path) -> list[dict[str, Any]]:
    """The rows of metrics up to a step. Raises UserError: one does not say of which step, or second, it is."""
    rows = read_jsonl(path)
    for number, row in enumerate(rows, start=1):
        if any(type(row.get(name)) not in (int, float) for name in ("step", "seconds")):
            raise UserError(f"{path}: line {number} has no step and seconds; mend it or take the line out")
    return [row for row in rows if row["step"] <= step]


class _Tracker:
    """A tracker of accelerate's that cannot end a training: what it raises is said once, and the training goes on."""

    def __init__(self, name: str, run: str, config: object) -> None:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        self.name, self._failed = name, False
        self._tracker = LOGGER_TYPE_TO_CLASS[name]("vidworld", name=run)
        self._try(self._tracker.start)
        self._try(self._tracker.store_init_configuration, resolved(config))

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        self._try(self._tracker.log, dict(numbers), step=step)

    def finish(self) -> None:
        self._try(self._tracker.finish)

    def _try(self, function: Callable[..., object], *arguments: object, **options: object) -> None:
        try:
            function(*arguments, **options)
        except Exception as error:
            if not self._failed:
                reason = (str(error) or type(error).__name__).splitlines()[0]
                print(f"warning: {self.name}: {reason}; training goes on, and logs to its own files", flush=True)
            self._failed = True


def missing_trackers(names: Sequence[str]) -> list[str]:
    """Those of the trackers that are not installed."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def _first_events(resumed_step: int | None) -> bytes:
    """What a file of TensorBoard's begins with; where a run resumes, that what it had after that step is void."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    now = time.time()
    events = _framed(Event(wall_time=now, file_version="brain.Event:2"))
    if resumed_step is None:
        return events
    start = SessionLog(status=SessionLog.START)
    return events + _framed(Event(wall_time=now, step=resumed_step + 1, session_log=start))


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
