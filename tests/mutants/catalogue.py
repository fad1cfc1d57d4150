"""Bugs that somebody could write, each with the tests that must catch it."""

from dataclasses import dataclass

RULE = "tests/consensus/test_rule.py::"
ENGINE = "tests/consensus/test_engine.py::"
DECISIONS = "tests/consensus/test_decisions.py::"
REPLAYED = "tests/consensus/test_replayed_messages.py::"
REVIEW = "tests/consensus/test_review.py::"
RELAY = "tests/consensus/test_relay.py::"
LEDGER = "tests/adapters/test_ledger.py::"
POSTGRES = "tests/adapters/test_ledger_postgres.py::"
BUS = "tests/adapters/bus/test_conformance.py::"
BACKUP = "tests/orchestration/test_backup.py::"
GATEWAY = "tests/trading/test_gateway.py::"
VENUE = "tests/trading/test_paper_venue.py::"
SIMULATION = (
    "tests/simulation/test_simulation.py::"
    "test_whatever_fails_nothing_is_lost_doubled_reordered_or_altered[0]"
)


@dataclass(frozen=True)
class Mutant:
    """A planted bug: the text that stands in a file once, and what replaces it.

    Parameters
    ----------
    caught_by
        Tests of which at least one must fail.
    """

    name: str
    file: str
    before: str
    after: str
    caught_by: tuple[str, ...]


MUTANTS = (
    # The rule.
    Mutant(
        "a weighted score of exactly 75 is rejected",
        "consensus/rule.py",
        "elif weighted < _exact(",
        "elif weighted <= _exact(",
        (RULE + "test_75_executes_and_a_hair_below_does_not",),
    ),
    Mutant(
        "a variance of exactly 40 is reviewed",
        "consensus/rule.py",
        "elif spread > _exact(",
        "elif spread >= _exact(",
        (RULE + "test_a_variance_of_40_executes_and_a_hair_above_is_reviewed",),
    ),
    Mutant(
        "sample variance",
        "consensus/rule.py",
        "elif spread > _exact(thresholds.review_above_variance) * n * n:",
        "elif spread > _exact(thresholds.review_above_variance) * n * (n - 1):",
        (RULE + "test_a_variance_of_40_executes_and_a_hair_above_is_reviewed",),
    ),
    Mutant(
        "the mean is not weighted by confidence",
        "consensus/rule.py",
        "weighted += score * trust",
        "weighted += score * 500_000",
        (RULE + "test_equals_the_oracle",),
    ),
    Mutant(
        "HOLD trades",
        "consensus/rule.py",
        "if action is _HOLD:",
        "if action is None:",
        (RULE + "test_hold_never_trades",),
    ),
    Mutant(
        "a veto is outvoted",
        "consensus/rule.py",
        "    elif vetoed:\n",
        "    elif vetoed and n < 2:\n",
        (RULE + "test_a_veto_outweighs_every_score",),
    ),
    Mutant(
        "one vote is a quorum",
        "consensus/rule.py",
        "elif n < _FEWEST_VOTES or confidence == 0:",
        "elif n == 0 or confidence == 0:",
        (RULE + "test_participation",),
    ),
    Mutant(
        "three votes execute without the Risk Manager",
        "consensus/rule.py",
        "vote.agent_id == AgentId.RISK_MANAGER for vote in counted",
        "vote.agent_id for vote in counted",
        (RULE + "test_participation",),
    ),
    Mutant(
        "the first vote of an agent wins",
        "consensus/rule.py",
        "for vote in sorted(votes, key=_last_writer_wins)}",
        "for vote in sorted(votes, key=_last_writer_wins, reverse=True)}",
        (RULE + "test_the_last_vote_of_an_agent_counts_whatever_arrives_last",),
    ),
    Mutant(
        "the last vote to arrive wins",
        "consensus/rule.py",
        "for vote in sorted(votes, key=_last_writer_wins)}",
        "for vote in votes}",
        (RULE + "test_the_last_vote_of_an_agent_counts_whatever_arrives_last",),
    ),
    # The engine.
    Mutant(
        "rounds are closed before their deadline",
        "consensus/engine.py",
        "if r.deadline <= now]",
        "if r.deadline - self.rules.vote_deadline / 2 <= now]",
        (ENGINE + "test_the_deadline_closes_a_round", SIMULATION),
    ),
    Mutant(
        "three votes close a round",
        "consensus/rounds.py",
        "    waited_for = len(AGENTS) - len(voting.cut_off)\n",
        "    waited_for = len(AGENTS) - 1\n",
        (ENGINE + "test_four_votes_close_a_round", SIMULATION),
    ),
    Mutant(
        "a round is closed by the first held votes",
        "consensus/engine.py",
        "            events += self._take_in(vote, voting)\n",
        "            events += self._vote(vote)\n",
        (ENGINE + "test_every_vote_that_waited_for_its_proposal_is_looked_at",),
    ),
    Mutant(
        "a proposal that comes again is decided again",
        "consensus/engine.py",
        "if key in self.state.rounds or key in self.state.decided:",
        "if key in self.state.rounds:",
        (ENGINE + "test_duplicates_have_no_effect",),
    ),
    Mutant(
        "stale votes count",
        "consensus/rounds.py",
        "votes = [vote for vote in votes if vote.occurred_at >= oldest]",
        "votes = list(votes)",
        (ENGINE + "test_a_vote_can_grow_stale_while_the_round_is_open",),
    ),
    Mutant(
        "a vote on another symbol counts",
        "consensus/rounds.py",
        "if vote.symbol != voting.proposal.symbol:",
        "if not vote.symbol:",
        (ENGINE + "test_untimely_votes_are_refused_with_a_reason",),
    ),
    Mutant(
        "recovery replays what the snapshot holds",
        "consensus/decisions.py",
        "self.engine, number = Engine.from_bytes(snapshot.data), snapshot.inputs",
        "self.engine, number = Engine.from_bytes(snapshot.data), 0",
        (SIMULATION,),
    ),
    # Manual review.
    Mutant(
        "the price is not checked again at approval",
        "consensus/review.py",
        "elif not terms.lowest_price <= verdict.price_now <= terms.highest_price:",
        "elif not verdict.price_now > 0:",
        (REVIEW + "test_what_is_not_approved_in_time_at_about_the_price_is_rejected",),
    ),
    Mutant(
        "silence approves",
        "consensus/review.py",
        "self._close(r, Outcome.REJECT, Reason.REVIEW_TIMEOUT, r.terms.deadline)",
        "self._close(r, Outcome.EXECUTE, Reason.REVIEW_TIMEOUT, r.terms.deadline)",
        (REVIEW + "test_silence_rejects_after_it_became_urgent",),
    ),
    Mutant(
        "one person counts as two",
        "consensus/review.py",
        "if verdict.approved and verdict.actor == review.approved_by:",
        "if False:",
        (REVIEW + "test_above_the_value_two_persons_must_approve",),
    ),
    Mutant(
        "a verdict may carry any id",
        "consensus/review.py",
        "if verdict.message_id != own:",
        "if False:",
        (REVIEW + "test_a_made_up_id_is_not_taken",),
    ),
    # The record.
    Mutant(
        "a fenced writer may commit (in memory)",
        "adapters/ledger/memory.py",
        "if held.token != lease.token or not held.lock.locked():",
        "if held.token < lease.token:",
        (LEDGER + "test_a_standby_waits_and_then_fences_the_old_writer",),
    ),
    Mutant(
        "a fenced writer may commit (in the database)",
        "adapters/ledger/migrations/versions/v0001_record.py",
        "WHERE log = the_log AND partition = the_partition AND token = the_token\n",
        "WHERE log = the_log AND partition = the_partition\n",
        (POSTGRES + "test_an_old_token_is_refused_by_the_database",),
    ),
    Mutant(
        "a writer that lost its lease goes on over a new connection",
        "adapters/ledger/writer.py",
        "if head is None or head[0] != self._token:",
        "if head is None:",
        (POSTGRES + "test_who_lost_the_lease_with_its_session_is_fenced",),
    ),
    Mutant(
        "a commit whose answer was lost is written again",
        "adapters/ledger/writer.py",
        "if found is not None and found[0] == commit:",
        "if found is None and commit is None:",
        (POSTGRES + "test_a_commit_whose_answer_was_lost_is_not_written_twice",),
    ),
    Mutant(
        "no unique key on events",
        "adapters/ledger/migrations/versions/v0005_months.py",
        "    id bytea PRIMARY KEY,\n",
        "    id bytea NOT NULL,\n",
        (LEDGER + "test_an_event_is_recorded_once",),
    ),
    Mutant(
        "a link of the chain is missing",
        "adapters/ledger/writer.py",
        "head = link(head, event)",
        "head = link(self._hash, event)",
        (LEDGER + "test_one_commit_writes_everything",),
    ),
    Mutant(
        "the record can be changed",
        "adapters/ledger/migrations/versions/v0005_months.py",
        "BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.events\n",
        "BEFORE TRUNCATE ON ledger.events\n",
        (POSTGRES + "test_the_record_is_append_only",),
    ),
    Mutant(
        "the end of the outbox is cut off",
        "adapters/ledger/postgres.py",
        "AND o.sequence > h.published",
        "AND o.sequence > h.published + 1",
        (LEDGER + "test_what_was_published_is_not_offered_again",),
    ),
    Mutant(
        "outbox numbers begin again after a restart",
        "adapters/ledger/writer.py",
        "self._published = {(Stream(s), p): n for s, p, n in await cursor.fetchall()}",
        "self._published = {(Stream(s), p): 0 for s, p, n in await cursor.fetchall()}",
        (LEDGER + "test_outbox_numbers_go_on_after_a_restart",),
    ),
    Mutant(
        "an audit does not see a log that was cut",
        "consensus/audit.py",
        "if self._marks and self.finding is None:",
        "if not self._marks and self.finding is None:",
        ("tests/consensus/test_audit.py::test_the_first_bad_position_is_named",),
    ),
    # The processor and its intake.
    Mutant(
        "acknowledged before the commit",
        "consensus/committer.py",
        "        effects = work.all_effects()\n",
        "        effects = work.all_effects()\n"
        "        await self._bus.acknowledge(self._group, work.deliveries)\n",
        (SIMULATION,),
    ),
    Mutant(
        "published before the commit",
        "consensus/committer.py",
        "        committed = await self._recorder.commit(commit)\n",
        "        for early in effects.outbox:\n"
        "            await self._bus.publish(early.stream, early.partition, early.message)\n"
        "        committed = await self._recorder.commit(commit)\n",
        (SIMULATION,),
    ),
    Mutant(
        "told without its number",
        "consensus/committer.py",
        "        await self._relay.publish(committed.outbox)\n",
        "        for item in committed.outbox:\n"
        "            await self._bus.publish(item.stream, item.partition, item.message)\n",
        (SIMULATION,),
    ),
    Mutant(
        "what was committed and not told stays untold",
        "consensus/processor.py",
        "            await self._relay.resume()\n",
        "",
        (SIMULATION,),
    ),
    Mutant(
        "what a predecessor marked late is not known to be on the bus",
        "consensus/relay.py",
        "            await self.mark()\n        # The writer before may have",
        "            await self.mark()\n        return\n        # The writer before may have",
        (RELAY + "test_what_the_writer_before_marked_late_is_published_again_too",),
    ),
    Mutant(
        "a gateway that starts does not read what follows its snapshot",
        "trading/handler.py",
        "            gateway.recover(entry.message for entry in page)\n",
        "            gateway.recover(())\n",
        ("tests/trading/test_handler.py::test_a_restart_anywhere_records_the_same_bytes[3-4]",),
    ),
    Mutant(
        "an archive of orders forgets what the archive before it ended with",
        "orchestration/archive.py",
        "    book = OrderBook(limits) if before is None else",
        "    book = OrderBook(limits) if True else",
        (BACKUP + "test_the_gateway_goes_on_where_its_archived_months_ended",),
    ),
    Mutant(
        "what the bus lost stays lost",
        "consensus/relay.py",
        "        while items := await recorder.patiently(partial(page, after)):\n",
        "        while items := (await recorder.patiently(partial(page, after)))[:0]:\n",
        (RELAY + "test_a_loss_while_publishing_is_noticed_by_the_next_message", SIMULATION),
    ),
    Mutant(
        "a fault leaves half a batch in the engine",
        "consensus/processor.py",
        "        await self._recover()\n        for single in self._work.parts():",
        "        for single in self._work.parts():",
        (SIMULATION,),
    ),
    Mutant(
        "the offset of a batch is that of its first message",
        "consensus/intake.py",
        "last = {(d.stream, d.partition): d.position for d in deliveries}",
        "last = {(d.stream, d.partition): d.position for d in reversed([*deliveries])}",
        (SIMULATION,),
    ),
    Mutant(
        "deadlines are judged before the votes that are there",
        "consensus/intake.py",
        "            if any(self._seen.get(source, ()) < end for source, end in ahead.items()):\n",
        "            if not ahead:\n",
        (SIMULATION,),
    ),
    Mutant(
        "what comes again is handled again",
        "consensus/intake.py",
        "if position <= self._seen.get(source, ()):",
        "if position < self._seen.get(source, ()):",
        ("tests/consensus/test_intake.py::test_what_comes_again_is_handled_once",),
    ),
    # The bus.
    Mutant(
        "a sequence is appended twice",
        "adapters/bus/memory.py",
        "if (position := (sequence, 0)) <= latest:",
        "if (position := (sequence, 0)) < latest:",
        (BUS + "test_a_sequence_is_published_once", SIMULATION),
    ),
    Mutant(
        "a predecessor that lives on takes messages away",
        "consensus/intake.py",
        "            after=self._positions,\n",
        "",
        (SIMULATION,),
    ),
    Mutant(
        "what a dead consumer held is never given to another",
        "adapters/bus/memory.py",
        "if len(found) < limit and now - entry.delivered_at >= self._redeliver_after:",
        "if not found and now < entry.delivered_at:",
        (BUS + "test_a_dead_consumers_work_is_taken_over",),
    ),
    # The order path.
    Mutant(
        "a decision that comes again makes another order",
        "trading/book.py",
        "return message.message_id in self._taken",
        "return message.message_id == self._taken",
        (GATEWAY + "test_a_bar_or_decision_that_comes_again_has_no_effect", SIMULATION),
    ),
    Mutant(
        "a review is traded before a person answers",
        "trading/gateway.py",
        "if decision.outcome is Outcome.EXECUTE and side is not None:",
        "if decision.outcome is not Outcome.REJECT and side is not None:",
        (GATEWAY + "test_only_execute_makes_an_order", SIMULATION),
    ),
    Mutant(
        "an order that is sent again is another order",
        "trading/paper_venue.py",
        "if (known := self._statuses.get(order.client_order_id)) is not None:\n            return",
        "if (known := self._statuses.get(order.symbol)) is not None:\n            return",
        (VENUE + "test_sending_again_changes_nothing",),
    ),
    Mutant(
        "a restarted venue has forgotten its open orders",
        "trading/paper_venue.py",
        "            if not known.is_over:\n",
        "            if known.is_over:\n",
        (VENUE + "test_a_restored_venue_goes_on_where_it_was",),
    ),
    Mutant(
        "garbage that an agent did not seal is held against it",
        "consensus/authenticity.py",
        "if seal is None or key is None or not fits(seal, body, key.secret):",
        "if seal is None or key is None:",
        (DECISIONS + "test_garbage_under_a_seal_of_other_bytes_is_nobody_s",),
    ),
    Mutant(
        "garbage that somebody sends again is held against its agent again",
        "consensus/authenticity.py",
        'derive_id("refused", sha256(delivery.data).hexdigest())',
        'derive_id("refused", delivery.stream, delivery.position)',
        (REPLAYED + "test_garbage_under_its_agent_s_seal_is_held_against_it_once",),
    ),
    Mutant(
        "an old tick that somebody sends again turns time back",
        "consensus/decisions.py",
        "        if self._clock is None or before is None or tick.occurred_at >= before:\n",
        "        if True:\n",
        (REPLAYED + "test_a_tick_of_the_past_turns_no_time_back",),
    ),
    Mutant(
        "a round that another partition decided is never found",
        "consensus/decisions.py",
        "for d, p in open_rounds.items() if d in known)",
        "for d, p in open_rounds.items() if not known)",
        (DECISIONS + "test_a_proposal_that_another_partition_decided_blocks_nothing",),
    ),
)
