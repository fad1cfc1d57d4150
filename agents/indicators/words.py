"""What a trader calls a feature: the words in which votes and proposals tell their drivers."""

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "return_1": "1-day return",
    "return_5": "5-day return",
    "return_21": "21-day return",
    "return_63": "63-day return",
    "momentum_21": "21-day trend",
    "momentum_63": "63-day trend",
    "rsi_14": "RSI",
    "macd_histogram": "MACD histogram",
    "adx_14": "strength of trend (ADX)",
    "directional_14": "direction of trend (DI)",
    "bollinger_b": "place in the Bollinger band",
    "stochastic_14": "place in the 14-day range",
    "money_flow_14": "money flow index",
    "volume_slope_21": "21-day on-balance volume",
    "volume_score_21": "volume against 21 days",
    "distance_10": "distance from the 10-day mean",
    "distance_50": "distance from the 50-day mean",
    "drawdown_63": "drawdown from the 63-day high",
    "atr_percent": "average true range",
    "log_volatility_5": "5-day volatility",
    "log_volatility_21": "21-day volatility",
    "log_volatility_ewma": "weighted volatility",
    "log_range_1": "range of the day",
    "log_range_5": "5-day range",
    "log_range_21": "21-day range",
    "relative_volume_1": "volume of the day",
    "relative_volume_5": "5-day volume",
    "sentiment": "tone of the news",
}
