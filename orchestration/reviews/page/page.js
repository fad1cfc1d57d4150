"use strict";
// What comes from agents and persons is only ever set as text, never as markup.

const POLL_MS = 2000;
const TOKEN = "quorum review token";
const $ = (id) => document.getElementById(id);

const state = { token: "", person: null, queue: [], chosen: "", review: null, answer: "", ahead: 0, busy: false };

class Problem extends Error {
  constructor(status, told) {
    super(told.detail || told.title || `The desk answered ${status}.`);
    this.status = status;
    this.next = [told.kept, told.next_step].filter(Boolean).join(" ");
  }
}

async function ask(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      cache: "no-store",
      headers: { authorization: `Bearer ${state.token}`, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, { detail: "The desk does not answer.", next_step: "It is asked again by itself." });
  }
  const now = response.headers.get("quorum-time");
  if (now) state.ahead = Date.parse(now) - Date.now();
  const text = await response.text();
  let told = {};
  try { told = text ? JSON.parse(text) : {}; } catch { told = { detail: "The desk's answer is not JSON." }; }
  if (!response.ok) throw new Problem(response.status, told);
  return told;
}

// Elements ------------------------------------------------------------------------------------

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {}))
    if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function tell(what, next = "", bad = false) {
  $("told").hidden = !what;
  $("told").className = bad ? "bad" : "";
  $("told").setAttribute("role", bad ? "alert" : "status");
  $("told-what").textContent = what;
  $("told-next").textContent = next;
}

function fail(problem) {
  if (!(problem instanceof Problem)) throw problem;
  if (problem.status === 401) signOut();
  tell(problem.message, problem.next, true);
}

// Words ---------------------------------------------------------------------------------------

const words = (text) => String(text).replaceAll("_", " ");
const number = (text) => Number(text).toLocaleString("en", { maximumFractionDigits: 6 });
const signed = (text) => (text > 0 ? "+" : "") + text.toFixed(2);
const confidence = (ppm) => (ppm / 1e6).toFixed(2);
const now = () => Date.now() + state.ahead;

function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

const left = (review) => Date.parse(review.terms.deadline) - now();
const tillDeadline = (review) => (left(review) > 0 ? `${span(left(review))} left` : "deadline passed");
const instant = (text) => text.slice(0, 19).replace("T", " ") + " UTC";
const trade = (review) => {
  const asked = review.decision.proposal;
  return `${asked.action} ${number(asked.quantity)} ${asked.symbol}`;
};
const money = (review) => `${number(review.terms.value)} ${review.decision.proposal.portfolio.currency}`;

// The queue -----------------------------------------------------------------------------------

function showQueue() {
  $("summary").textContent = state.queue.length
    ? `${state.queue.length} waiting for an answer` : "Nothing waits for an answer";
  const focused = document.activeElement?.dataset?.decision;
  $("queue").replaceChildren(...state.queue.map((review) => {
    const id = review.decision.message_id;
    const scores = review.decision.counted.map((vote) => vote.score).join(" · ");
    const button = make("button", {
      type: "button", "data-decision": id, "aria-current": String(id === state.chosen),
      class: review.escalated ? "urgent" : "",
    },
    make("span", { class: "row" }, make("span", { class: "trade" }, trade(review)), money(review)),
    make("span", { class: "row" }, make("span", { class: "faint" }, words(review.decision.reason)),
      make("span", { class: "faint" }, scores)),
    make("span", { class: "row" },
      make("span", { class: "faint" }, `${span(now() - Date.parse(review.decision.occurred_at))} old`),
      make("span", { class: "left" }, (review.escalated ? "urgent · " : "") + tillDeadline(review))),
    review.claim || review.verdicts.length ? make("span", { class: "row" },
      review.claim ? make("span", { class: "badge" }, `${review.claim.actor} looks at it`) : null,
      review.verdicts.length ? make("span", { class: "badge" }, "needs a second person") : null) : null);
    button.addEventListener("click", () => choose(id));
    return make("li", null, button);
  }));
  if (focused) $("queue").querySelector(`[data-decision="${CSS.escape(focused)}"]`)?.focus();
}

function step(by) {
  if (!state.queue.length) return;
  const ids = state.queue.map((review) => review.decision.message_id);
  const at = ids.indexOf(state.chosen);
  choose(ids[Math.min(ids.length - 1, Math.max(0, at + by))]);
}

async function choose(id) {
  if (state.busy) return;
  closeAnswer();
  state.chosen = id;
  state.review = null;
  showQueue();
  showOne();
  await refreshOne();
  $("queue").querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest" });
}

// One decision --------------------------------------------------------------------------------

function figure(name, value, note, bad = false) {
  return make("div", { class: bad ? "bad" : "" }, make("dt", null, name), make("dd", null, value, make("small", null, note || "")));
}

function measures(found) {
  const rows = Object.entries(found || {});
  if (!rows.length) return null;
  return make("dl", { class: "measures" },
    ...rows.flatMap(([name, value]) => [make("dt", null, words(name)), make("dd", null, number(value))]));
}

function voteCard(vote, threshold) {
  const executes = vote.score >= threshold;
  return make("section", { class: "vote" },
    make("h3", null, words(vote.agent_id),
      make("span", { class: executes ? "for" : "against" }, `${vote.score} × ${confidence(vote.confidence_ppm)}`)),
    make("meter", { min: 0, max: 100, low: 50, high: threshold, optimum: 100, value: vote.score,
      "aria-label": `score ${vote.score} of 100` }),
    make("p", { class: "says" }, vote.rationale || "no rationale"),
    vote.veto ? make("p", { class: "against" }, `Veto: ${words(vote.veto)}`) : null,
    measures(vote.risk_assessment),
    make("p", { class: "faint" }, vote.model_version));
}

function notCounted(vote) {
  return make("section", { class: "vote" }, make("h3", null, words(vote.agent_id)),
    make("p", { class: "says faint" }, `Not counted: ${words(vote.reason)}`));
}

function priceFigures(review) {
  const asked = review.decision.proposal, terms = review.terms, then = Number(asked.reference_price);
  const range = `approved from ${number(terms.lowest_price)} to ${number(terms.highest_price)}`;
  const found = review.price_now;
  if (!found) return [figure("Price then", number(then)), figure("Price now", "unknown", range, true)];
  const price = Number(found.price), change = (100 * (price - then)) / then;
  const outside = price < Number(terms.lowest_price) || price > Number(terms.highest_price);
  return [
    figure("Price then", number(then), `target ${number(asked.price_target)} in ${asked.horizon_days} days`),
    figure("Price now", `${number(price)} (${signed(change)}\u00a0%)`, `${range}; of ${instant(found.observed_at)}`, outside),
  ];
}

function history(review) {
  const rows = review.verdicts.map((verdict) => make("li", null,
    `${verdict.approved ? "Approved" : "Rejected"} by ${verdict.actor} at ${instant(verdict.decided_at)}, price ${number(verdict.price_now)}: `,
    make("span", { class: "says" }, `“${verdict.reason}”`)));
  if (review.final) rows.push(make("li", null,
    `Ended ${instant(review.final.occurred_at)}: ${review.final.outcome} (${words(review.final.reason)})`));
  return rows.length ? make("div", null, make("h3", null, "So far"), make("ul", { class: "history" }, ...rows)) : null;
}

function showOne() {
  const review = state.review;
  if (!review) {
    $("detail").replaceChildren(make("p", { class: "empty" }, state.chosen ? "One moment…"
      : state.queue.length ? "Choose a decision." : "The desk is clear."));
    $("actions").hidden = true;
    return;
  }
  const decision = review.decision, asked = decision.proposal;
  const threshold = Number(decision.thresholds.execute_at_weighted_score);
  const person = review.claim?.actor;
  const soon = left(review) < 300000;
  $("detail").replaceChildren(
    make("div", { class: "title" }, make("h2", null, trade(review)),
      make("span", null, money(review)), make("span", { class: "badge" }, words(review.state)),
      review.escalated && !review.final ? make("span", { class: "badge soon" }, "urgent") : null,
      person ? make("span", { class: "badge" }, `${person === state.person.name ? "you look" : person + " looks"} at it`) : null,
      make("code", { class: "faint" }, decision.message_id)),
    make("dl", { class: "figures" },
      figure("Why a person", words(decision.reason), decision.degraded ? "degraded participation" : ""),
      figure("Weighted score", decision.weighted_score ? number(decision.weighted_score) : "none", `executes from ${number(threshold)}`),
      figure("Variance", decision.variance ? number(decision.variance) : "none",
        `persons above ${number(decision.thresholds.review_above_variance)}`),
      ...priceFigures(review),
      figure("Deadline", review.final ? "ended" : tillDeadline(review), `${instant(review.terms.deadline)}, then it is rejected`, soon && !review.final),
      figure("Approvals", `${review.verdicts.filter((v) => v.approved).length} of ${review.terms.approvals_needed}`,
        review.terms.approvals_needed > 1 ? "two different persons" : "one person")),
    make("div", null, make("h3", null, "The proposal"), make("p", { class: "says" }, asked.rationale),
      measures(asked.risk_metrics)),
    make("div", null, make("h3", null, "The votes"), make("div", { class: "votes" },
      ...decision.counted.map((vote) => voteCard(vote, threshold)), ...decision.ignored.map(notCounted))),
    history(review) || "");
  const mine = person === state.person.name;
  $("actions").hidden = Boolean(review.final);
  $("claim").disabled = Boolean(person) && !mine;
  $("claim").lastChild.textContent = mine ? " Renew claim" : " Claim";
  $("release").disabled = !mine;
  for (const name of ["approve", "reject"]) $(name).disabled = (Boolean(person) && !mine) || Boolean(state.answer);
}

// What a person does --------------------------------------------------------------------------

const path = (rest) => `/reviews/${encodeURIComponent(state.chosen)}${rest}`;

async function act(work) {
  if (state.busy || !state.review) return;
  state.busy = true;
  $("send").disabled = true;
  try { await work(); } catch (problem) {
    fail(problem);
    // The market's price may be too old to approve by; then a person's word counts.
    if (problem.status === 409 && state.answer === "approve") $("price-line").hidden = false;
  } finally {
    state.busy = false;
    $("send").disabled = false;
  }
  await refresh();
}

const claim = () => act(async () => {
  const held = await ask("PUT", path("/claim"));
  tell(`Yours until ${instant(held.expires_at)}.`, "Claim it again to keep it.");
});

const release = () => act(async () => {
  await ask("DELETE", path("/claim"));
  tell("Released.");
});

function openAnswer(kind) {
  if (!state.review || state.review.final || $(kind).disabled) return;
  state.answer = kind;
  const approving = kind === "approve";
  $("answer-title").textContent = `${approving ? "Approve" : "Reject"}: ${trade(state.review)}, ${money(state.review)}`;
  $("send").textContent = approving ? "Approve" : "Reject";
  $("price-line").hidden = !approving || Boolean(state.review.price_now);
  $("answer").hidden = false;
  showOne();
  $("reason").focus();
  $("answer").scrollIntoView({ block: "nearest" });
}

function closeAnswer() {
  state.answer = "";
  $("answer").hidden = true;
  $("answer").reset();
}

const send = () => act(async () => {
  const approving = state.answer === "approve", price = $("price").value.trim();
  const body = { reason: $("reason").value.trim(), ...(approving && price && { price }) };
  const review = await ask("POST", path(`/${state.answer}`), body);
  const said = trade(review);
  closeAnswer();
  state.review = review;
  tell(review.final ? `${said}: ${review.final.outcome} (${words(review.final.reason)}), on record.`
    : `${said}: your approval is on record; a second person must approve.`);
  $("detail").focus();
});

// Keeping up ----------------------------------------------------------------------------------

async function refreshOne() {
  const wanted = state.chosen;
  if (!wanted) return;
  try {
    const review = await ask("GET", path(""));
    if (wanted !== state.chosen) return;
    state.review = review;
    if (review.final && state.answer) closeAnswer();
    showOne();
  } catch (problem) { fail(problem); }
}

async function refresh() {
  if (!state.person || state.busy) return;
  try {
    state.queue = await ask("GET", "/reviews?limit=200");
    if (!state.chosen && state.queue.length) state.chosen = state.queue[0].decision.message_id;
    showQueue();
    await refreshOne();
    if (!state.chosen) showOne();
    if ($("told-what").textContent === "The desk does not answer.") tell("");
  } catch (problem) { fail(problem); }
}

async function signIn(token) {
  state.token = token;
  try {
    state.person = await ask("GET", "/person");
  } catch (problem) { fail(problem); return; }
  sessionStorage.setItem(TOKEN, token);
  const limit = state.person.approval_limit;
  $("name").textContent = state.person.name + (limit === null ? "" : ` · approves up to ${number(limit)}`);
  $("who").hidden = $("desk").hidden = false;
  $("sign-in").hidden = true;
  $("token").value = "";
  tell("");
  await refresh();
}

function signOut() {
  sessionStorage.removeItem(TOKEN);
  Object.assign(state, { token: "", person: null, queue: [], chosen: "", review: null });
  closeAnswer();
  tell("");
  $("queue").replaceChildren();
  $("detail").replaceChildren();
  $("summary").textContent = "";
  $("who").hidden = $("desk").hidden = true;
  $("sign-in").hidden = false;
  $("token").focus();
}

const KEYS = {
  j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
  c: claim, u: release, a: () => openAnswer("approve"), r: () => openAnswer("reject"),
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { closeAnswer(); if (state.review) showOne(); $("detail").focus(); return; }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && state.answer) {
    event.preventDefault();
    $("answer").requestSubmit();
    return;
  }
  const typing = /^(INPUT|TEXTAREA)$/.test(event.target.tagName);
  if (!state.person || typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
});
$("sign-in").addEventListener("submit", (event) => { event.preventDefault(); signIn($("token").value.trim()); });
$("answer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
$("sign-out").addEventListener("click", signOut);
$("told-close").addEventListener("click", () => tell(""));
$("claim").addEventListener("click", claim);
$("release").addEventListener("click", release);
$("approve").addEventListener("click", () => openAnswer("approve"));
$("reject").addEventListener("click", () => openAnswer("reject"));
$("cancel").addEventListener("click", () => { closeAnswer(); showOne(); });

const kept = sessionStorage.getItem(TOKEN);
if (kept) signIn(kept); else signOut();
setInterval(refresh, POLL_MS);
