"""The rows of all videos of a folder become one data set of `datasets`, some megabytes of them in memory at a time."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import datasets  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from datasets.arrow_writer import ArrowWriter  # type: ignore[import-untyped]

from vidworld.core.records import ListFingerprint, read_json, write_json
from vidworld.video import REAL_SPLITS
from vidworld.video.clips import ClipOptions
from vidworld.video.rows import BATCH_BYTES, columns

ROWS_NAME = "data-00000-of-00001.arrow"


def features(options: ClipOptions, action_channels: int = 0, rewarded: bool = False) -> datasets.Features:
    """The columns of a clip's row, arrays with their shapes."""
    found = datasets.Features.from_arrow_schema(columns(options, action_channels, rewarded))
    shape = (options.num_frames, 3, options.size_px, options.size_px)
    found["frames"] = datasets.Array4D(shape, "uint8")
    if action_channels:
        found["actions"] = datasets.Array2D((options.num_frames, action_channels), "float32")
    return found


def join(
    parts: Mapping[str, Sequence[Path]],
    options: ClipOptions,
    out: Path,
    action_channels: int = 0,
    rewarded: bool = False,
) -> dict[str, dict[str, str]]:
    """Write the rows of each split's videos as one data set on disk.

    The fingerprints of each split: of its clips' frames, of their actions (and rewards) where there are some, and of
    everything else that their rows hold.
    """
    kinds = features(options, action_channels, rewarded)
    with _quietly():
        return _joined(parts, kinds, out, [*["actions"] * (action_channels > 0), *["rewards"] * rewarded])


def _joined(
    parts: Mapping[str, Sequence[Path]], kinds: datasets.Features, out: Path, acted: Sequence[str]
) -> dict[str, dict[str, str]]:
    none = {split: datasets.Dataset.from_dict({name: [] for name in kinds}, features=kinds) for split in REAL_SPLITS}
    datasets.DatasetDict({split: none[split] for split in REAL_SPLITS if parts[split]}).save_to_disk(out)
    content = {}
    for split in REAL_SPLITS:
        frames, known, done = ListFingerprint(), ListFingerprint(), ListFingerprint()
        if parts[split]:
            writer = ArrowWriter(features=kinds, path=str(out / split / ROWS_NAME))
            for rows in _batches(parts[split], kinds):
                writer.write_table(rows.data.table)
                pictures = rows.select_columns("frames").with_format("numpy", dtype=np.uint8)[:]["frames"]
                frames.add([*one.shape, hashlib.sha256(one.tobytes()).hexdigest()] for one in pictures)
                known.add(rows.remove_columns("frames").to_list())
                done.add(rows.select_columns([*acted]).to_list() if acted else ())
            writer.finalize()
            writer.close()
            state = out / split / "state.json"  # as `datasets` wrote it, with the one file that it did not
            write_json(state, read_json(state) | {"_data_files": [{"filename": ROWS_NAME}]})
        content[split] = {"frames": str(frames), "rows": str(known)}
        content[split] |= {"actions": str(done)} if acted else {}
    return content


def _batches(parts: Sequence[Path], kinds: datasets.Features) -> Iterator[datasets.Dataset]:
    """The rows of files, some megabytes at a time. (A file that is mapped fills memory as it is read.)

    Those of short videos go together: a data set takes memory and time to open for each batch that it was written in.
    """
    waiting: list[pa.RecordBatch] = []
    size = 0
    for part in parts:
        with pa.OSFile(str(part)) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                size += batch.nbytes
                if waiting and size > BATCH_BYTES:
                    yield _rows_of(waiting, kinds)
                    waiting, size = [], batch.nbytes
                waiting.append(batch)
    if waiting:
        yield _rows_of(waiting, kinds)


def _rows_of(batches: Sequence[pa.RecordBatch], kinds: datasets.Features) -> datasets.Dataset:
    """Rows as `datasets` has them, which names the shapes of arrays; nothing is copied for that."""
    schema, table = kinds.arrow_schema, pa.Table.from_batches(batches).combine_chunks()
    found = []
    for kind, column in zip(schema.types, table.columns, strict=True):
        shaped = isinstance(kind, pa.ExtensionType)
        found.append(pa.ExtensionArray.from_storage(kind, column.chunk(0)) if shaped else column)
    whole = datasets.table.InMemoryTable(pa.Table.from_arrays(found, schema=schema))
    return datasets.Dataset(whole, fingerprint="rows")  # otherwise `datasets` hashes all of it


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the progress bars of `datasets`."""
    loud = not datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if loud:
            datasets.enable_progress_bars()
