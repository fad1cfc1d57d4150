"""Headlines written by hand, with their tone: what models of headlines are judged on, never taught.

They are invented too, but share no pattern with `assets.invented_headlines`: negation, hedging,
numbers without a verb of motion, relief, irony, and many that say nothing of a price.
"""

import polars as pl

_POSITIVE = """
Arvello crushes it: profit nearly triples on cloud boom
Brintech guidance blows past Street view
No sign of a slowdown at Caldera as orders pour in
Dunmore Steel back in the black after two bleak years
Regulator clears Marwick's heart pill months ahead of plan
Losses at Estrella shrink for a fourth straight quarter
Fennick shares fly to all-time peak
Galtero hikes payout, promises more
Lender Hartwell frees up bad-loan reserves as borrowers hold up
Ionex lands biggest army order in its history
Jarrow deliveries top half a million for the first time
Analysts turn upbeat on Kestral after chip shortage ends
Lumora: three reasons the shares may keep climbing
Court throws out patent case against Norvane
Bulls return to Ostrand as crude steadies
Pellier dodges downgrade, agency praises balance sheet
Quantrel doubles user base, ad money follows
Ridgeline holiday sales strongest since 2015
Tavistar soothes nerves with surprise profit
Bidding war lifts Umbra by a fifth
Vantica's turnaround is working, says top holder
Factories hum: orders grow at quickest pace in a decade
Stocks shrug off inflation scare and power ahead
Rupee firmer for third day on inflows
Consumers more cheerful than economists thought
Gold shines as dollar softens
Yorvik freight rates up 40% from spring trough
Xylos pays off last of its loans early
Westmarch hurricane claims well below what was feared
Zenhaven bookings jump 31%
Investors pile into solar names after Senate vote
Housing market springs back to life
Sorrel raises full-year view again
Nifty scales 18,000, banks lead the charge
Exporters cheer weaker yen
Broker lifts Arvello target by a third
"""
_NEGATIVE = """
Brintech stumbles as clients hold back spending
Caldera's outlook leaves investors cold
Profit? Not this year, admits Dunmore
Estrella grounds a third of its fleet, refunds mount
Fennick loses key patent fight
Galtero can't shake off debt doubts
Hartwell sets aside billions for sour loans
Ionex axes dividend to save cash
Jarrow halts production as parts run out
Kestral sinks to five-year trough
Lumora fails to calm fears over churn
Marwick trial stopped after patient death
Norvane insiders bail out before results
Ostrand spill bill to exceed $2 billion
Pellier cut to junk
Quantrel growth is fading fast, data show
Ridgeline to shut 120 stores
Tavistar: time to get out
Umbra hacked, customer records stolen
Vantica's recovery stalls
Factory slump deepens, jobs at risk
Stocks whipsawed, end deep in the red
Rupee at record low against dollar
Shoppers stay home, retailers suffer
Oil glut drags crude under $40
Yorvik freight rates down 40% since spring
Xylos misses bond payment
Westmarch faces flood of claims after storm
Zenhaven cancellations up 31%
Investors flee property funds
Home sales weakest since the crisis
Sorrel trims full-year view again
Sensex cracks 900 points, banks bleed
Exporters hurt by stronger yen
Broker slashes Arvello target by half
Bearish bets on Brintech pile up
Airlines brace for worst quarter ever
"""
_NEUTRAL = """
Arvello to webcast investor meeting
Brintech board to consider accounts on 12 May
Caldera picks insider as next finance head
Dunmore, Ostrand to form joint venture in hydrogen
Estrella adds Lisbon to winter timetable
What analysts ask about Fennick's strategy
Galtero opens showroom in Milan
Hartwell redeems notes due 2027
Ionex and rivals meet transport minister
Jarrow's new coupe: first drive
Kestral annual general meeting: the agenda
How Lumora makes its money
Marwick publishes sustainability report
Norvane sells minority holding to pension fund
Ostrand drilling permit: hearing on Thursday
Pellier changes auditor after ten years
Quantrel updates privacy terms
Ridgeline to test checkout without cashiers
Tavistar founder publishes memoir
Umbra leases office space downtown
Vantica files to list on second exchange
Five charts on the state of trade
Stocks end where they began
Rupee steady before policy meeting
Survey asks households about saving
Gold in narrow band as traders wait
Yorvik christens vessel in Bergen
Xylos holds rating at Castellan
Westmarch moves to new reporting calendar
Zenhaven chief on work and family
Senators question regulators on crypto rules
Explainer: why yields matter
Sorrel results match forecasts
Market holiday: exchanges shut on Monday
A guide to index funds for beginners
Arvello shareholders vote on board seats
The week ahead: data, speeches, auctions
Neither rally nor rout: a quiet August
"""
_BY_LABEL = {"negative": _NEGATIVE, "neutral": _NEUTRAL, "positive": _POSITIVE}


def written_headlines() -> pl.DataFrame:
    """Return columns text and label."""
    rows = [
        (text, label) for label, lines in _BY_LABEL.items() for text in lines.strip().splitlines()
    ]
    return pl.DataFrame(rows, schema=["text", "label"], orient="row")
