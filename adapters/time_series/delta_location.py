"""Where Delta tables lie: a folder, or object storage that speaks S3; reading their files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from adapters.locks import owned_lock

YEAR = "_year"
_PATIENCE_SECONDS = 300.0


class DeltaLocation:
    """Tables below a folder or a URL such as ``s3://bucket/tables``.

    Parameters
    ----------
    options
        What delta-rs and polars need for object storage: endpoint, region, keys.
    """

    def __init__(self, root: Path | str, options: Mapping[str, str] | None = None) -> None:
        self._folder = None if isinstance(root, str) and "://" in root else Path(root)
        self._root = str(root).rstrip("/")
        self.options = dict(options or {})

    def address(self, name: str) -> str:
        """Return where the table lies."""
        return f"{self._root}/{name}" if self._folder is None else str(self._folder / name)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold off this machine's other writers; on object storage the commit itself decides."""
        if self._folder is None:
            yield
            return
        with owned_lock(
            self._folder / f"{name}.lock",
            patience_seconds=_PATIENCE_SECONDS,
            purpose=f"writing the table {name}",
        ):
            yield

    def open(self, name: str, version: int | None = None) -> DeltaTable | None:
        """Return the table, or None where there is none."""
        try:
            return DeltaTable(self.address(name), version=version, storage_options=self.options)
        except TableNotFoundError:
            return None

    def types(self, delta: DeltaTable | None) -> dict[str, pl.DataType]:
        """Return the columns' types, the partition's left out."""
        if delta is None:
            return {}
        found = pl.scan_delta(delta, storage_options=self.options or None).collect_schema()
        return {name: dtype for name, dtype in found.items() if name != YEAR}

    def scan(
        self, delta: DeltaTable | None, years: Sequence[int], symbols: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Return the rows of whole years."""
        if delta is None:
            return pl.DataFrame()
        schema = pl.Schema(self.types(delta))
        wanted = {f"{YEAR}={year}" for year in years}
        files = [file for file in self._files(delta) if file.rsplit("/", 2)[-2] in wanted]
        if not files:
            return schema.to_frame()
        scan = pl.scan_parquet(
            files,
            schema=schema,
            hive_partitioning=False,
            glob=False,
            missing_columns="insert",
            storage_options=self.options or None,
        )
        if symbols is not None:
            scan = scan.filter(pl.col("symbol").is_in(list(symbols)))
        return scan.collect()

    def _files(self, delta: DeltaTable) -> list[str]:
        # polars' own Delta reader takes "%20" in a path for three letters of it.
        return sorted(map(unquote, delta.file_uris()))
