"""Every metric that Quorum exposes: name, kind, labels, help. `docs/metrics.md` is made from it."""

from enum import Enum
from typing import Literal, NamedTuple

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class MetricSpec(NamedTuple):
    """What Prometheus needs to know of a metric."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _SECONDS


class Metric(Enum):
    """The table; a process registers a metric on first use. `value` is its `MetricSpec`."""

    MESSAGES_CONSUMED = MetricSpec(
        "quorum_messages_consumed_total",
        "counter",
        "Messages taken off the bus.",
        ("group", "stream"),
    )
    MESSAGES_PUBLISHED = MetricSpec(
        "quorum_messages_published_total", "counter", "Messages put on the bus.", ("stream",)
    )
    MESSAGES_REFUSED = MetricSpec(
        "quorum_messages_refused_total",
        "counter",
        "Messages that could not be processed and became dead letters.",
        ("stream", "reason"),
    )
    MESSAGES_REPUBLISHED = MetricSpec(
        "quorum_messages_republished_total",
        "counter",
        "Messages put on the bus again, from the record, after it lost them.",
        ("stream",),
    )
    MESSAGES_TRIMMED = MetricSpec(
        "quorum_messages_trimmed_total",
        "counter",
        "Messages that every group had finished, taken off the bus.",
        ("stream",),
    )
    STREAM_DEPTH = MetricSpec(
        "quorum_stream_depth_messages",
        "gauge",
        "Messages that wait in a stream: not delivered to a group yet.",
        ("group", "stream"),
    )
    STREAM_PENDING = MetricSpec(
        "quorum_stream_pending_messages",
        "gauge",
        "Messages delivered to a group and not acknowledged yet.",
        ("group", "stream"),
    )
    STAGE_SECONDS = MetricSpec(
        "quorum_stage_seconds",
        "histogram",
        "Time that one batch took in a stage of its processor: handle, commit, publish.",
        ("group", "stage"),
    )
    RETRIES = MetricSpec(
        "quorum_retries_total",
        "counter",
        "Times that something was tried again after a fault: record, bus, handler.",
        ("operation",),
    )
    MESSAGES_IGNORED = MetricSpec(
        "quorum_messages_ignored_total",
        "counter",
        "Valid messages without effect: late, duplicate, of an unknown proposal.",
        ("log", "reason"),
    )
    STREAM_LAG = MetricSpec(
        "quorum_stream_lag_messages",
        "gauge",
        "Messages a group has not finished: those that wait, and those that are pending.",
        ("group", "stream"),
    )
    BUS_CONNECTIONS_LOST = MetricSpec(
        "quorum_bus_connections_lost_total",
        "counter",
        "Connections to RabbitMQ that ended under this process, and were made again.",
    )
    DECISIONS = MetricSpec(
        "quorum_decisions_total",
        "counter",
        "Decisions by outcome and reason.",
        ("outcome", "reason"),
    )
    DECISION_SECONDS = MetricSpec(
        "quorum_decision_seconds", "histogram", "Proposal taken in until decision committed.", ()
    )
    COMMIT_SECONDS = MetricSpec(
        "quorum_commit_seconds", "histogram", "Duration of one ledger transaction."
    )
    COMMIT_BATCH = MetricSpec(
        "quorum_commit_batch_events",
        "histogram",
        "Events in one ledger transaction.",
        (),
        (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
    )
    LEDGER_SESSIONS = MetricSpec(
        "quorum_ledger_sessions",
        "gauge",
        "1 while this process holds a partition's lease over a session that works, 0 while it "
        "stands by or the ledger is away. There is no pool: a lease has one session of its own.",
        ("log", "partition"),
    )
    OPEN_ROUNDS = MetricSpec("quorum_open_rounds", "gauge", "Voting rounds that are still open.")
    BREAKER_STATE = MetricSpec(
        "quorum_breaker_state",
        "gauge",
        "0 the agent takes part, 1 it is probed, 2 it is cut off.",
        ("agent", "partition"),
    )
    BREAKER_CHANGES = MetricSpec(
        "quorum_breaker_changes_total",
        "counter",
        "Changes of an agent's breaker, by the state that it changed to.",
        ("agent", "state"),
    )
    VOTES_CAST = MetricSpec(
        "quorum_votes_cast_total", "counter", "Votes an agent cast.", ("agent", "kind")
    )
    VOTE_SECONDS = MetricSpec(
        "quorum_vote_seconds", "histogram", "Time to form one vote.", ("agent",)
    )
    VOTE_CONFIDENCE = MetricSpec(
        "quorum_vote_confidence",
        "histogram",
        "Confidence of the votes cast.",
        ("agent",),
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    )
    REALISED_BRIER = MetricSpec(
        "quorum_agent_realised_brier_score",
        "gauge",
        "Brier score of an agent's confidence against realised outcomes since its start.",
        ("agent", "regime"),
    )
    REALISED_LOG_LOSS = MetricSpec(
        "quorum_agent_realised_log_loss",
        "gauge",
        "Log loss of an agent's confidence against realised outcomes since its start, in nats.",
        ("agent", "regime"),
    )
    REALISED_CALIBRATION_ERROR = MetricSpec(
        "quorum_agent_realised_calibration_error",
        "gauge",
        "Expected calibration error (ten bins) of an agent's confidence since its start.",
        ("agent", "regime"),
    )
    REALISED_HIT_RATE = MetricSpec(
        "quorum_agent_realised_hit_rate",
        "gauge",
        "Share of an agent's verdicts that proved right since its start.",
        ("agent", "regime"),
    )
    INPUT_DRIFT = MetricSpec(
        "quorum_agent_drift_score",
        "gauge",
        "Drift of the last vote's inputs; up to 1 they are as in training, above it doubts.",
        ("agent",),
    )
    RISK_BACKTEST_ZONE = MetricSpec(
        "quorum_value_at_risk_backtest_zone",
        "gauge",
        "Back-test of the value at risk behind the last risk vote: 0 green, 1 yellow, 2 red.",
    )
    PROPOSALS = MetricSpec("quorum_proposals_total", "counter", "Proposals made.", ("action",))
    INPUT_TIMEOUTS = MetricSpec(
        "quorum_input_timeouts_total",
        "counter",
        "Times an agent gave up waiting for an input it needed.",
        ("agent", "input"),
    )
    MODEL_INFO = MetricSpec(
        "quorum_model_info",
        "gauge",
        "1 for the model version that is served.",
        ("agent", "version"),
    )
    MODEL_FALLBACKS = MetricSpec(
        "quorum_model_fallbacks_total",
        "counter",
        "Times a service fell back to its last good model.",
        ("agent", "reason"),
    )
    MODEL_ROLLBACKS = MetricSpec(
        "quorum_model_rollbacks_total",
        "counter",
        "Breaches of a guardrail, by where the version went, or by why it could not be taken back.",
        ("agent", "outcome"),
    )
    TRIAL_FAILURES = MetricSpec(
        "quorum_trial_failures_total",
        "counter",
        "Votes that a version on trial did not give: starting, busy, late or broken.",
        ("agent", "reason"),
    )
    SENTIMENT_FALLBACKS = MetricSpec(
        "quorum_sentiment_fallbacks_total",
        "counter",
        "Times a simpler reader of headlines took the place of the one wanted.",
        ("reader", "reason"),
    )
    REQUESTS = MetricSpec(
        "quorum_requests_total", "counter", "HTTP requests answered.", ("route", "status")
    )
    REQUEST_SECONDS = MetricSpec(
        "quorum_request_seconds", "histogram", "Duration of an HTTP request.", ("route",)
    )
    PROJECTED_EVENTS = MetricSpec(
        "quorum_projected_events_total", "counter", "Events that the read side was filled from."
    )
    PROJECTION_LAG_EVENTS = MetricSpec(
        "quorum_projection_lag_events",
        "gauge",
        "Events of a log that are not in the read side yet.",
        ("log",),
    )
    PROJECTION_LAG_SECONDS = MetricSpec(
        "quorum_projection_lag_seconds",
        "gauge",
        "Time since the read side held all of a log; 0 while it does.",
        ("log",),
    )
    CACHE_READS = MetricSpec(
        "quorum_cache_reads_total",
        "counter",
        "Reads of the cache of last values: hit, miss, or away (the projections answered).",
        ("kind", "answer"),
    )
    CACHE_FAULTS = MetricSpec(
        "quorum_cache_faults_total",
        "counter",
        "Values that could not be put into the cache of last values.",
    )
    VOTES_AGREED = MetricSpec(
        "quorum_votes_decided_total",
        "counter",
        "Counted votes on what was executed or rejected, by whether the outcome was their side.",
        ("agent", "agreed"),
    )
    ORDERS = MetricSpec("quorum_orders_total", "counter", "Orders by status reached.", ("status",))
    DENIALS = MetricSpec(
        "quorum_order_denials_total",
        "counter",
        "Orders that a pre-trade control denied.",
        ("control",),
    )
    LIMIT_CHANGES = MetricSpec(
        "quorum_limit_changes_total",
        "counter",
        "Wishes of persons to change a control's limit, by what came of them.",
        ("status",),
    )
    UNPLANNED_ORDERS = MetricSpec(
        "quorum_unplanned_orders_total",
        "counter",
        "Orders sent whole because their decision carries no forecast of liquidity.",
    )
    RESERVATIONS_MENDED = MetricSpec(
        "quorum_reservations_mended_total",
        "counter",
        "Reservations found at a start that were not what their orders on record hold.",
    )
    EMERGENCY_CANCELS = MetricSpec(
        "quorum_emergency_cancels_total", "counter", "Open orders that the kill switch cancelled."
    )
    VENUE_TIMEOUTS = MetricSpec(
        "quorum_venue_timeouts_total",
        "counter",
        "Questions that the venue did not answer in time.",
        ("operation",),
    )
    DISCREPANCIES = MetricSpec(
        "quorum_discrepancies_total",
        "counter",
        "Differences between the record and the venue that nothing explains.",
        ("kind",),
    )
    FILLS = MetricSpec("quorum_fills_total", "counter", "Fills booked.", ("side",))
    TRADING_STATE = MetricSpec(
        "quorum_trading_state", "gauge", "0 active, 1 only reducing, 2 halted."
    )
    EQUITY = MetricSpec("quorum_portfolio_equity", "gauge", "Cash plus positions at the mark.")
    REVIEWS_WAITING = MetricSpec(
        "quorum_reviews_waiting", "gauge", "Manual reviews that have not ended."
    )
    REVIEW_NOTICES = MetricSpec(
        "quorum_review_notices_total",
        "counter",
        "Attempts to announce a manual review, by urgency and what became of them.",
        ("urgency", "outcome"),
    )
    ROWS_QUARANTINED = MetricSpec(
        "quorum_rows_quarantined_total", "counter", "Rows set aside by a data check.", ("reason",)
    )
    ASSET_HEALTH = MetricSpec(
        "quorum_asset_health",
        "gauge",
        "0 healthy, 1 warning, 2 degraded, 3 unknown; in the file metrics/asset_health.prom.",
        ("asset",),
    )
    FEED_STATE = MetricSpec(
        "quorum_feed_state",
        "gauge",
        "A symbol's live bars: 0 live, 1 gap, 2 stale.",
        ("symbol",),
    )
    FEED_FAILURES = MetricSpec(
        "quorum_feed_failures_total",
        "counter",
        "Times that a source of live data did not answer or broke off, and was tried again.",
        ("source",),
    )
    FEED_IGNORED = MetricSpec(
        "quorum_feed_ignored_total",
        "counter",
        "What a live source told that was not passed on, by reason.",
        ("reason",),
    )
    PROCESS_RESTARTS = MetricSpec(
        "quorum_process_restarts_total",
        "counter",
        "Processes the supervisor started again.",
        ("process",),
    )
