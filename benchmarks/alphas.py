"""The alpha set of 800 symbols and 3,400 days, beside the same formulas in qlib's engine.

qlib (``pip install pyqlib``) is no dependency; where it is absent its row is left out. It reads
its own files, in single precision, one process; it is asked for fewer symbols, and its rate taken.
"""

import importlib.util
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from agents.indicators.alphas import ALPHAS, WINDOWS, compute_alphas
from agents.indicators.bar_panel import BarPanel, checked
from benchmarks.indicators import (
    COLUMNS,
    by_polars,
    cpu_seconds_of,
    frame_of,
    random_panel,
)
from benchmarks.measure import Row, alternately, run

_SYMBOLS, _DAYS, _ROUNDS = 800, 3400, 5
_SYMBOLS_OF_QLIB = 8
_RETURN = "Log($close/Ref($close,1))"
_SHAPES = {
    "body": "$close/$open-1",
    "extent": "($high-$low)/$open",
    "upper_shadow": "($high-Greater($open,$close))/$open",
    "lower_shadow": "(Less($open,$close)-$low)/$open",
    "close_location": "(2*$close-$high-$low)/($high-$low)",
    "gap": "$open/Ref($close,1)-1",
}
_FAMILIES = {
    "momentum": "$close/Ref($close,N)-1",
    "mean_distance": "$close/Mean($close,N)-1",
    "volatility": f"K*Std({_RETURN},N)",
    "range": "Power(Mean(Power(Log($high/$low),2),N)/2.7725887,0.5)",
    "slope": "Slope(Log($close),N)",
    "fit": "Rsquare(Log($close),N)",
    "residual": "Resi(Log($close),N)",
    "below_high": "$close/Max($high,N)-1",
    "above_low": "$close/Min($low,N)-1",
    "range_position": "($close-Min($low,N))/(Max($high,N)-Min($low,N))",
    "up_share": "Mean($close>Ref($close,1),N)",
    "gain_share": f"Sum(Greater({_RETURN},0),N)/Sum(Abs({_RETURN}),N)",
    "efficiency": f"Abs(Sum({_RETURN},N))/Sum(Abs({_RETURN}),N)",
    "price_volume": "Corr(Log($close),Log($volume+1),N)",
    "return_volume": f"Corr({_RETURN},Log(($volume+1)/(Ref($volume,1)+1)),N)",
    "relative_volume": "$volume/Mean($volume,N)",
    "volume_variation": "K*Std($volume,N)/Mean($volume,N)",
    "signed_volume": f"Sum(Sign({_RETURN})*$volume,N)/Sum($volume,N)",
}


def expressions() -> Mapping[str, str]:
    """Return every alpha in qlib's words; its deviation is a sample's, ours the window's."""
    over = {
        f"{name}_{n}": formula.replace("N)", f"{n})").replace("K", f"{((n - 1) / n) ** 0.5:.9f}")
        for n in WINDOWS
        for name, formula in _FAMILIES.items()
    }
    return {name: {**_SHAPES, **over}[name] for name in ALPHAS}


def write_for_qlib(folder: Path, panel: BarPanel) -> None:
    """Write the panel as qlib's files: a calendar, the instruments, one array a field."""
    days = np.arange(np.datetime64("2000-01-03"), np.datetime64("2000-01-03") + _DAYS).astype(str)
    for part in ("calendars", "instruments"):
        (folder / part).mkdir()
    (folder / "calendars" / "day.txt").write_text("\n".join(days) + "\n")
    listed = [f"{symbol}\t{days[0]}\t{days[-1]}" for symbol in panel.symbols]
    (folder / "instruments" / "all.txt").write_text("\n".join(listed) + "\n")
    names = ("open", "high", "low", "close", "volume")
    for symbol, (_, history) in zip(panel.symbols, panel.histories(), strict=True):
        own = folder / "features" / symbol.lower()
        own.mkdir(parents=True)
        for name, values in zip(names, history.prices(), strict=True):
            np.concatenate([[0.0], values]).astype("<f4").tofile(own / f"{name}.day.bin")


def by_qlib(panel: BarPanel) -> tuple[float, float]:
    """Return qlib's rows per CPU second, and the farthest median gap to ours, in deviations."""
    import qlib  # noqa: PLC0415 - no dependency
    from qlib.data import D  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        write_for_qlib(Path(folder), panel)
        qlib.init(
            provider_uri=folder, kernels=1, joblib_backend="threading",
            expression_cache=None, dataset_cache=None, logging_level=40,
        )  # fmt: skip
        fields = list(expressions().values())
        began = time.process_time()
        found = D.features(list(panel.symbols), fields, disk_cache=0)
        seconds = time.process_time() - began
    ours = compute_alphas(panel)
    gaps = []
    for name, column in zip(ALPHAS, found.to_numpy().T, strict=True):
        known = np.isfinite(ours[name]) & np.isfinite(column)
        known[np.arange(len(known)) % _DAYS < max(WINDOWS) + 1] = False
        spread = max(float(np.std(ours[name][known])), 1e-12)
        gaps.append(float(np.median(np.abs(ours[name][known] - column[known]))) / spread)
    return panel.rows / seconds, max(gaps)


def measure() -> list[Row]:
    panel = checked(random_panel(_SYMBOLS, _DAYS))
    frame = frame_of(panel)
    found = alternately(
        {
            "ours": cpu_seconds_of(lambda: compute_alphas(panel)),
            "polars": cpu_seconds_of(lambda: by_polars(frame)),
        },
        _ROUNDS,
    )
    ours = min(found["ours"])
    rows = [
        Row(
            figure=f"{len(ALPHAS)} alphas of 2.7 M bars",
            unit="CPU s",
            ours=ours,
            beside=f"polars, {len(COLUMNS)} indicators of them",
            theirs=min(found["polars"]),
        )
    ]
    if importlib.util.find_spec("qlib") is None:
        print("qlib is not installed: its row is left out", file=sys.stderr)
        return rows
    rate, gap = by_qlib(checked(random_panel(_SYMBOLS_OF_QLIB, _DAYS)))
    return [
        *rows,
        Row(
            figure=f"{len(ALPHAS)} alphas",
            unit="bars/CPU s",
            ours=panel.rows / ours,
            beside="qlib's expression engine",
            theirs=rate,
        ),
        Row(figure="farthest median gap to qlib, in deviations", unit="", ours=gap),
    ]


if __name__ == "__main__":
    run(measure)
