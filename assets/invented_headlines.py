"""Labelled headlines to learn tone from, made by a grammar of our own.

**They are invented**: no line of them comes from a news agency, a data set or a post, companies
and analysts do not exist, and their labels are what the pattern means, not what anybody judged.
They let a headline model be trained without a licence. What it is worth is measured on headlines
written by hand (`assets.written_headlines`), which share no pattern with these.
The same seed gives the same headlines.
"""

import re

import numpy as np
import polars as pl

COUNT = 3000
_SLOT = re.compile(r"\{(\w+)\}")


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


#: What stands for a slot of a pattern; slots may stand in slots.
WORDS: dict[str, tuple[str, ...]] = {
    "company": (
        "Arvello", "Brintech", "Caldera Foods", "Dunmore Steel", "Estrella Airlines", "Fennick",
        "Galtero", "Hartwell Bank", "Ionex", "Jarrow Motors", "Kestral", "Lumora", "Marwick Pharma",
        "Norvane", "Ostrand Energy", "Pellier", "Quantrel", "Ridgeline Retail", "Sorrel & Co",
        "Tavistar", "Umbra Networks", "Vantica", "Westmarch Insurance", "Xylos", "Yorvik Shipping",
        "Zenhaven", "AAPL", "IBM", "MSFT", "GOOG", "$ARVL", "$BRNT", "$KSTR", "$MWKP",
    ),
    "broker": ("Halden & Roe", "Castellan", "Morrow Securities", "Pike Street", "Aldgate Research",
               "Bellamy", "Orchard Capital"),
    "market": ("stocks", "shares", "European shares", "Wall Street", "the index", "oil", "gold",
               "copper", "the rupee", "the pound", "the dollar", "bonds", "futures", "tech stocks",
               "bank stocks", "emerging markets", "small caps", "crude", "silver", "Asian shares",
               "Sensex", "Nifty", "the benchmark index", "steel stocks", "IT shares"),
    "figure": ("profit", "revenue", "sales", "earnings", "net income", "quarterly profit", "EPS",
               "operating profit", "margins", "Q1 net profit", "Q2 revenue", "Q3 sales",
               "Q4 earnings", "cash flow", "output", "orders", "exports", "bookings", "demand"),
    "economy": ("GDP", "industrial output", "retail sales", "consumer confidence", "housing starts",
                "factory orders", "exports", "private payrolls", "business activity", "growth"),
    "percent": ("1%", "2.4%", "3%", "4.1%", "5%", "7%", "8.6%", "12%", "15%", "19%", "23%", "38%",
                "nearly 6%", "more than 10%", "0.7%", "about 9%"),
    "cents": ("$0.01", "$0.04", "$0.07", "$0.12", "$0.31"),
    "million": ("$20M", "$75 million", "$140 million", "$1.2B", "$3 billion", "Rs 400 crore",
                "$650m", "Rs 1,200 cr"),
    "price": ("$12", "$34", "$58", "$71", "$105", "$240", "Rs 250", "Rs 980"),
    "product": ("drug", "battery", "chip", "jet", "truck", "vaccine", "phone", "platform",
                "device", "engine", "software suite", "cancer therapy"),
    "place": ("China", "Europe", "India", "the U.S.", "Brazil", "Germany", "Asia", "Mumbai",
              "Texas", "the U.K.", "Japan"),
    "deal": ("trade deal", "rate cut", "stimulus", "ceasefire", "vaccine", "merger"),
    "person": ("chief executive", "finance chief", "CEO", "CFO", "chairman", "head of research"),
    "topic": ("cloud computing", "electric cars", "retirement", "housing", "the election",
              "cybersecurity", "climate policy", "streaming", "artificial intelligence", "taxes",
              "interest rates", "travel", "health care", "energy transition"),
    "upped": ("rises", "climbs", "jumps", "surges", "soars", "gains", "advances", "rallies",
              "rebounds", "recovers", "edges up", "ticks higher", "leaps", "spikes",
              "moves higher", "zooms", "shoots up", "firms", "strengthens", "inches up"),
    "downed": ("falls", "drops", "slides", "slips", "tumbles", "plunges", "sinks", "declines",
               "retreats", "dips", "edges lower", "sheds", "slumps", "loses", "crashes", "skids",
               "weakens", "tanks", "moves lower", "nosedives"),
    "up": ("rise", "climb", "jump", "surge", "soar", "gain", "advance", "rally", "rebound",
           "recover", "edge up", "trade higher", "close higher", "open firm", "end higher"),
    "down": ("fall", "drop", "slide", "slip", "tumble", "plunge", "sink", "decline", "retreat",
             "dip", "edge lower", "trade lower", "close lower", "open weak", "end lower"),
    "good": ("strong demand", "record orders", "robust results", "upbeat guidance",
             "{deal} hopes", "easing inflation", "cost savings", "a large contract",
             "a raised outlook", "better-than-expected earnings", "optimism over {deal}",
             "strong global cues", "short covering", "a bullish note", "regulatory approval"),
    "bad": ("weak demand", "soft orders", "disappointing results", "a grim outlook",
            "{deal} worries", "rising inflation", "higher costs", "a lost contract",
            "a cut in guidance", "a profit warning", "fears of recession", "virus fears",
            "weak global cues", "profit booking", "a bearish note", "a regulatory probe",
            "accounting concerns", "a product recall", "tariff threats"),
    "event": ("earnings", "the Fed meeting", "the jobs report", "policy decision", "the budget"),
    "month": ("January", "March", "April", "June", "August", "October", "December"),
    "quarter": ("first-quarter", "second-quarter", "third-quarter", "fourth-quarter", "full-year"),
}  # fmt: skip

_POSITIVE = _lines("""
    {company} {upped} {percent} on {good}
    {company} shares {up} after {good}
    {company} +{percent} on {good}
    {company} stock {upped} {percent}
    {market} {up} on {good}
    {market} {up} as {deal} nears
    {market} {upped} {percent} to a record high
    {market} at highest in a year
    {company} beats by {cents}, beats on revenue
    {company} EPS beats by {cents}
    {company} tops {quarter} estimates
    {company} {figure} {upped} {percent}, beating forecasts
    {company} {quarter} {figure} up {percent}
    {company} {figure} jumps to {million} from a year ago
    {company} posts record {figure}
    {company} swings to a profit of {million}
    {company} narrows its loss
    {company} raises {quarter} guidance
    {company} lifts dividend by {percent}
    {company} boosts its buyback to {million}
    {company} upgraded to buy at {broker}
    {company} upgraded to overweight from neutral by {broker}
    {company} price target raised to {price} from {price} at {broker}
    {broker} bullish on {company}, sees {percent} upside
    Buy {company}, target {price}: {broker}
    {broker} starts {company} at outperform
    {company} wins {million} order in {place}
    {company} bags contract worth {million}
    {company} wins approval for its {product}
    {company} {product} succeeds in late-stage trial
    {company} to hire 500 in {place} on {good}
    {company} expands in {place} as {figure} grows
    {company} sees {figure} growing {percent} next year
    {economy} in {place} beats expectations
    {economy} {upped} {percent} in {month}, more than expected
    {place} {economy} at its best in years
    Inflation eases to {percent}, boosting {market}
    Unemployment drops to {percent} in {place}
    {company} cuts debt by {million}
    {company} settles lawsuit, clearing an overhang
    Fears over {company} fade as {figure} holds up
    Not as bad as feared: {company} {figure} {upped}
    {company} loss smaller than expected
    No slowdown in sight for {company}, says {broker}
    Probe into {company} is dropped
    {company} avoids strike with last-minute accord
    Why {company} is a strong buy
    {company}: the rally has room to run
    {company} could double, {broker} says
    Upside ahead for {market}: {broker}
    {company} breaks out above {price}
    {company} rebounds from early losses, ends {percent} higher
    Ratings agency lifts outlook on {company} to positive
    {company} stock pops after {good}
    {company} outperforms as {good} helps
    Higher prices to support {company} margins
    {deal} will boost {market}, analysts say
    Investors cheer {company} as {figure} {upped}
    {company} secures funding of {million} for growth
    {company} hits 52-week high
    {market} snap losing streak, {up} {percent}
    Jobless claims fall to lowest in months
""")
_NEGATIVE = _lines("""
    {company} {downed} {percent} on {bad}
    {company} shares {down} after {bad}
    {company} -{percent} on {bad}
    {company} stock {downed} {percent}
    {market} {down} on {bad}
    {market} {down} as {deal} hopes fade
    {market} {downed} {percent} to a one-year low
    {market} at lowest in a year
    {company} misses by {cents}, misses on revenue
    {company} EPS misses by {cents}
    {company} falls short of {quarter} estimates
    {company} {figure} {downed} {percent}, missing forecasts
    {company} {quarter} {figure} down {percent}
    {company} {figure} shrinks to {million} from a year ago
    {company} reports widening losses
    {company} swings to a loss of {million}
    {company} posts net loss of {million}
    {company} cuts {quarter} guidance
    {company} slashes dividend by {percent}
    {company} suspends its buyback
    {company} downgraded to sell at {broker}
    {company} downgraded to neutral from overweight by {broker}
    {company} price target cut to {price} from {price} at {broker}
    {broker} bearish on {company}, sees {percent} downside
    Sell {company}, target {price}: {broker}
    {broker} starts {company} at underperform
    {company} loses {million} order in {place}
    {company} recalls its {product} over safety
    {company} fails to win approval for its {product}
    {company} {product} fails in late-stage trial
    {company} to cut 500 jobs in {place} on {bad}
    {company} closes plants in {place} as {figure} weakens
    {company} warns {figure} will fall {percent} next year
    {economy} in {place} misses expectations
    {economy} {downed} {percent} in {month}, more than expected
    {place} {economy} at its worst in years
    Inflation accelerates to {percent}, hurting {market}
    Unemployment climbs to {percent} in {place}
    {company} defaults on debt of {million}
    {company} sued over its {product}
    {company} faces probe over accounting
    {company} fined {million} by regulator
    Hopes for {company} fade as {figure} {downed}
    Not good enough: {company} {figure} {downed}
    {company} gain smaller than expected
    No recovery in sight for {company}, says {broker}
    {company} files for bankruptcy
    Strike halts output at {company}
    Why to avoid {company} stock
    {company}: the rally is over
    {company} could halve, {broker} says
    Downside ahead for {market}: {broker}
    {company} breaks below {price}
    {company} gives up early gains, ends {percent} lower
    Ratings agency cuts outlook on {company} to negative
    {company} {person} quits amid {bad}
    {company} lags as {bad} hurts
    Higher costs to squeeze {company} margins
    {bad} will hurt {market}, analysts say
    Investors dump {company} as {figure} {downed}
    {company} short of cash, needs {million}
    {company} hits 52-week low
    {market} snap winning streak, {down} {percent}
    Jobless claims rise to highest in months
    Coronavirus outbreak hits {company} supply
    {company} delays its {product} again
    {place} tariffs threaten {company}
    Selloff deepens in {market}
""")
_NEUTRAL = _lines("""
    {company} to report {quarter} results on Tuesday
    {company} reports {quarter} results
    {company} schedules {quarter} earnings call
    {company} Q3 earnings call transcript
    {company} declares {cents} dividend
    {company} declares quarterly dividend
    {company} names new {person}
    {company} appoints {person}
    {company} {person} to speak at conference in {place}
    {company} presents at {broker} conference - slideshow
    {company} to host investor day
    {company} announces pricing of senior notes offering
    {company} to buy stake in {company} for {million}
    {company} to acquire {company} in {million} deal
    {company} completes sale of unit to {company}
    {company} in talks to sell its {place} business
    {company} and {company} to merge
    {company} unveils new {product}
    {company} launches {product} in {place}
    {company} to build plant in {place}
    {company} signs agreement with {company} on {topic}
    {company} files annual report
    {company} holds annual meeting
    {company} moves headquarters to {place}
    {company} maintained at hold at {broker}
    {broker} keeps neutral rating on {company}
    {company} stays in a range near {price}
    {market} flat ahead of {event}
    {market} little changed as traders await {event}
    {market} mixed before {event}
    What to watch: {event} and {company} {figure}
    {event}: what to expect
    Five things to know about {topic}
    How {topic} is changing
    Opinion: what {topic} means for you
    Is {company} fairly valued?
    Does {company} have a good P/E ratio?
    Who owns most of {company} stock?
    Should you buy, hold or sell {company}?
    Here's what happened in {market} today
    Morning briefing: {event}, {company} and {topic}
    Stocks to watch: {company}, {company}, {company}
    {place} central bank keeps rates unchanged
    {place} holds talks on {topic}
    {place} parliament debates {topic}
    {place} to publish data on {economy} on Friday
    A look at {topic} in {place}
    Interview with {company} {person} on {topic}
    {company} {figure} in line with estimates
    {company} affirms {quarter} guidance
    {company} {figure} unchanged from a year ago
    {company} says it is not in talks with {company}
    {company} does not comment on reports on {topic}
    {company} stockholders approve the plan
    {company} begins trading under a new symbol
    {company} prices IPO at {price}
    {company} weighs sale of {product} unit
    {company} to review its options
    {company} insider sells shares under plan
    Analysts expect {company} {figure} at {million}
    {company} will release {figure} before the bell
    {company} extends contract with {person}
    {person} of {company} talks about {topic}
    Podcast: {topic} with the {person} of {company}
    Court hears case on {topic}
    President speaks on {topic} in {place}
    Researchers study {topic} in {place}
    {company} sponsors an event on {topic}
    Support at {price}, resistance at {price} for {company}
    Trading ideas: {company}, {market}
    Read more and sign up for updates on {market}
    {company} voluntarily delists from {place} exchange
""")
PATTERNS = {"negative": _NEGATIVE, "neutral": _NEUTRAL, "positive": _POSITIVE}
_BEFORE = ("", "", "", "", "", "", "Update: ", "BREAKING: ", "Report: ", "RT @desk: ", "JUST IN: ",
           "{company} - ")  # fmt: skip
_AFTER = ("", "", "", "", "", "", " - report", ": sources", " https://t.co/x", " #stocks #markets",
          " in {month}", ", says {broker}", ", {broker}")  # fmt: skip


def invented_headlines(seed: int, count: int = COUNT) -> pl.DataFrame:
    """Return distinct texts with their labels, the same number of each label or nearly so."""
    random = np.random.default_rng(seed)
    labels = tuple(PATTERNS)
    rows = [(_drawn(random, label), label) for label in labels for _ in range(count // len(labels))]
    frame = pl.DataFrame(rows, schema=["text", "label"], orient="row")
    return frame.unique("text", keep="first", maintain_order=True)


def _drawn(random: np.random.Generator, label: str) -> str:
    def one(of: tuple[str, ...]) -> str:
        return of[int(random.integers(len(of)))]

    def filled(found: re.Match[str]) -> str:
        return _SLOT.sub(filled, one(WORDS[found[1]]))

    text = _SLOT.sub(filled, one(_BEFORE) + one(PATTERNS[label]) + one(_AFTER))
    return text[0].upper() + text[1:]
