"""Draw a regime path as it was told day by day: ``docs/pictures/regime_path.png``."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib import pyplot as plt

from adapters.market_data.folder import FolderMarketData
from agents.market_analyst.regime import assess_regime
from agents.price_history import PriceHistory, price_histories
from assets.sample import sample_folder

SYMBOL = "IBM"
EVERY = 3
PAGE = Path(__file__).parent.parent / "docs" / "pictures" / "regime_path.png"


def main() -> None:
    mpl.use("agg")
    frame = FolderMarketData(sample_folder()).read().filter(symbol=SYMBOL)
    frame = frame.with_columns(timestamp=pl.col("date").cast(pl.Datetime("us", "UTC")))
    history = price_histories(frame)[SYMBOL]
    days, turbulent, strange = [], [], []
    for bars in range(300, history.length + 1, EVERY):
        regime = assess_regime(PriceHistory(*(column[:bars] for column in history)))
        if regime is None:
            continue
        days.append(bars - 1)
        turbulent.append(regime.probabilities[-1] if len(regime.probabilities) > 1 else np.nan)
        strange.append(regime.unlike_anything_seen)
    when = history.times[days].astype("datetime64[us]")
    figure, (above, below) = plt.subplots(
        2, 1, sharex=True, figsize=(10, 4.5), height_ratios=(2, 1), layout="constrained"
    )
    above.semilogy(when, history.close[days], color="#23395d", linewidth=0.9)
    flagged = np.array(strange)
    above.plot(
        when[flagged],
        history.close[days][flagged],
        "x",
        color="#c0392b",
        label="unlike anything seen",
    )
    above.set_ylabel(f"{SYMBOL}, close")
    above.legend(frameon=False)
    below.fill_between(when, turbulent, color="#e08e45", linewidth=0)
    below.set_ylabel("P(most turbulent)")
    below.set_ylim(0, 1)
    PAGE.parent.mkdir(exist_ok=True)
    figure.savefig(PAGE, dpi=90, metadata={"Software": None})


if __name__ == "__main__":
    main()
