"""Where assets keep their values: files of one asset each, or the tables over time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import polars as pl
from upath import UPath

from adapters.files import write_atomically
from domain.ports.time_series import Table, TimeSeriesStore

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_END = datetime(9999, 12, 31, tzinfo=UTC)


class FileIOManager(dg.UPathIOManager):
    """A frame becomes a Parquet file, a struct a JSON file; a reader finds it whole or not at all.

    A struct is read back as the type that the reading asset's argument is annotated with.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(UPath(folder))

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:  # noqa: ANN401, ARG002
        """Write `obj` in one step."""
        target = Path(path.path)
        if isinstance(obj, pl.DataFrame):
            unfinished = target.with_name(f".{target.name}")
            obj.write_parquet(unfinished)
            unfinished.replace(target)
        else:
            write_atomically(target, msgspec.json.format(msgspec.json.encode(obj, order="sorted")))

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:  # noqa: ANN401
        """Read what an asset has written."""
        wanted = context.dagster_type.typing_type
        if wanted is pl.DataFrame:
            return pl.read_parquet(Path(path.path))
        return msgspec.json.decode(Path(path.path).read_bytes(), type=wanted)


class TableIOManager(dg.IOManager):
    """A frame becomes rows of the table that the asset's metadata names.

    Its rows become all that the table holds: for the months of the run where the asset is
    partitioned, be it one or a range, else at all times. With metadata ``merge`` they are only
    added, or replace rows of the same key.
    """

    def __init__(self, store: TimeSeriesStore) -> None:
        self._store = store

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        """Write the rows and say which version the table now has."""
        table = Table(context.definition_metadata["table"])
        if context.definition_metadata.get("merge"):
            version = self._store.write(table, obj)
        elif context.has_asset_partitions:
            window = context.asset_partitions_time_window
            version = self._store.replace(table, obj, start=window.start, end=window.end)
        else:
            version = self._store.replace(table, obj, start=_BEGINNING, end=_END)
        context.add_output_metadata({"table_version": version})

    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        """Read the whole table, or the interval of the partitions that are asked for."""
        upstream = context.upstream_output
        if upstream is None or "table" not in upstream.definition_metadata:
            raise dg.DagsterInvariantViolationError(f"{context.asset_key} names no table.")
        table = Table(upstream.definition_metadata["table"])
        if not context.has_asset_partitions:
            return self._store.read(table)
        window = context.asset_partitions_time_window
        return self._store.read(table, start=window.start, end=window.end)
