"use strict";
(() => {
  // What a cassette says becomes text, never markup: elements are made by `make` alone.
  const report = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const hidden = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g; // controls, also of direction
  const visible = (text) =>
    String(text).replace(hidden, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);

  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "class") node.className = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) node.setAttribute(name, value);
    }
    for (const child of children.flat(Infinity)) {
      if (child !== null && child !== undefined) node.append(child instanceof Node ? child : visible(child));
    }
    return node;
  };

  // -- words

  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  const time = (ms) =>
    ms === null || ms === undefined ? "" : ms >= 1000 ? `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`
      : ms >= 10 || ms === 0 ? `${Math.round(ms)} ms` : `${ms < 0.1 ? "<0.1" : ms.toFixed(1)} ms`;
  const money = (cost) =>
    cost === null || cost === undefined ? "" : Number(cost) === 0 ? "$0" : Number(cost) < 0.0001 ? "<$0.0001"
      : `$${Number(cost).toFixed(4)}`;
  const tokens = (usage) =>
    usage && usage.total_tokens ? `${usage.estimated ? "about " : ""}${count(usage.total_tokens, "token")}` : "";
  const unpriced = "genai-prices" in report.about.versions ? "price unknown" : ""; // else none is known, not this one
  const price = (taken) => (["llm", undefined].includes(taken.kind) && taken.usage?.total_tokens
    ? money(taken.cost) || unpriced : "");
  const facts = (...parts) => parts.filter(Boolean).join(" · ");
  const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);
  const bare = (step) => step.summary.replace(/^#\d+ \S+ /, "");

  // -- values

  // Beside another call, `there` holds the lines of that; what it lacks is marked.
  const marked = (text, there) => (there === undefined ? [text] : text.split("\n").flatMap((line, at) =>
    [at ? "\n" : null, line === "" || there.has(line) ? line : make("mark", {}, line)]));
  const linesIn = (given) => typeof given === "string" ? given.split("\n")
    : given !== null && typeof given === "object" ? Object.values(given).flatMap(linesIn) : [JSON.stringify(given)];

  const value = (given, there) => {
    if (typeof given === "string") {
      const text = marked(given, there);
      return given.includes("\n") ? make("pre", { tabindex: 0, dir: "auto" }, text) : make("bdi", { class: "text" }, text);
    }
    const flat = JSON.stringify(given);
    if (given === null || typeof given !== "object") return make("code", {}, marked(flat, there));
    const isSame = there === undefined || linesIn(given).every((each) => there.has(each));
    if (flat.length <= 80 && isSame && !flat.includes("\\n")) return make("code", {}, flat);
    return make("dl", { class: "tree" }, Object.entries(given).map(([key, each]) => [
      make("dt", {}, make("bdi", {}, key)), make("dd", {}, value(each, there)),
    ]).flat());
  };

  const asked = (asks, there) => (Array.isArray(asks) ? asks : []).flatMap((each) =>
    each && typeof each === "object"
      ? Object.entries(each).map(([name, given]) => make("div", {}, make("code", {}, `asks ${name}`), value(given, there)))
      : [value(each, there)]);

  const message = (there, role, content, asks) => make(
    "div", { class: `message ${/^[a-z]+$/.test(role) ? role : ""}` },
    make("div", { class: "role" }, role),
    content === undefined || content === "" || content === null ? null : value(content, there), asked(asks, there),
  );

  const llmParts = (parts, there) => [
    ...(Array.isArray(parts.messages) ? parts.messages : []).map((each) =>
      each && typeof each === "object" ? message(there, String(each.role ?? "message"), each.content, each.asks) : value(each, there)),
    "text" in parts || "asks" in parts ? message(there, "assistant", parts.text ?? "", parts.asks) : null,
    "error" in parts ? message(there, "error", parts.error) : null,
  ];

  // An LLM call of a user's own boundary has its messages among its arguments.
  const partsOf = (step) => {
    const { args, result, ...rest } = step.parts;
    if (step.kind !== "llm" || !Array.isArray(args?.messages)) return step.parts;
    const { messages, model, ...others } = args;
    return { ...rest, messages, ...(Object.keys(others).length ? { args: others } : {}),
      ...(typeof result === "string" ? { text: result } : result === undefined ? {} : { result }) };
  };

  const body = (step, other) => {
    const there = other && new Set(linesIn(other.parts));
    const parts = partsOf(step);
    const isTalk = "messages" in parts;
    const rest = Object.entries(parts).filter(([name, each]) =>
      each !== null && !(isTalk && ["messages", "text", "asks", "error", "model"].includes(name)));
    const usage = step.usage;
    return [
      isTalk ? llmParts(parts, there) : null,
      rest.length ? make("dl", { class: "tree" }, rest.flatMap(([name, each]) => [
        make("dt", { class: name === "error" ? "bad" : "" }, name), make("dd", {}, value(each, there)),
      ])) : null,
      make("p", { class: "facts" }, facts(
        step.provider, step.model,
        usage && `${usage.input_tokens.toLocaleString("en")} in, ${usage.output_tokens.toLocaleString("en")} out`,
        price(step),
        step.latency_ms !== null && `from ${time(step.start_ms)} on, ${time(step.latency_ms)}`,
        step.live && "live", step.fault,
      )),
      step.source ? make("details", { class: "source" }, make("summary", { class: "facts" }, "as recorded"),
        make("pre", { tabindex: 0, dir: "auto" }, step.source)) : null,
    ];
  };

  const fieldTable = (fields) => fields.length === 0 ? null : make("table", {},
    make("thead", {}, make("tr", {}, ["where", "recorded", "now"].map((each) => make("th", { scope: "col" }, each)))),
    make("tbody", {}, fields.map((each) => make("tr", {},
      make("th", { scope: "row" }, make("code", {}, each.path)),
      make("td", {}, make("del", {}, make("code", {}, each.old))),
      make("td", {}, make("ins", {}, make("code", {}, each.new)))))));

  // -- the trace of a run

  const whenOpened = (details, fill) => {
    const once = () => {
      if (!details.open) return;
      details.removeEventListener("toggle", once);
      fill();
    };
    details.addEventListener("toggle", once);
    return details;
  };
  const filled = (details) => { // at once: an event comes too late for who looks for what is in it
    details.open = true;
    details.dispatchEvent(new Event("toggle"));
    return details;
  };

  const axisOf = (steps) => { // null if no call was timed, as in cassettes of other tools
    if (steps.every((each) => each.latency_ms === null)) return null;
    const first = Math.min(...steps.map((each) => each.start_ms), Infinity);
    const last = steps.reduce((end, each) => Math.max(end, each.start_ms + (each.latency_ms ?? 0)), 0);
    const start = Number.isFinite(first) ? first : 0;
    const total = Math.max(last - start, 0.001);
    const rough = total / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    if (rough < 0.01) return { start, total, ticks: [] };
    const apart = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
    const ticks = [];
    for (let at = 0; at < total * 0.97; at += apart) ticks.push(at);
    return { start, total, ticks };
  };

  const track = (axis, start, took) => {
    if (axis === null) return null;
    const bar = make("span", { class: "bar" });
    bar.style.left = `${Math.min((start - axis.start) / axis.total * 100, 99.5)}%`;
    bar.style.width = `${took / axis.total * 100}%`;
    return make("span", { class: "track", "aria-hidden": "true" }, bar);
  };

  const axisLine = (axis) => {
    if (axis === null) return null;
    const line = make("span", { class: "track" });
    for (const at of axis.ticks) {
      const tick = make("span", {}, time(at));
      tick.style.left = `${at / axis.total * 100}%`;
      line.append(tick);
    }
    return make("div", { class: "axis", "aria-hidden": "true" }, line);
  };

  const stepRow = (step, depth, axis, link) => {
    const text = make("bdi", { class: "what" }, make("span", { class: "kind" }, step.label ?? step.kind), bare(step),
      link ? make("a", { class: "link", href: link, title: "link to this call" }, `#${step.index}`) : null);
    const row = make("span", { class: "row" }, text,
      make("span", { class: "facts" }, facts(step.missing && "not recorded", tokens(step.usage), price(step),
        time(step.latency_ms), step.live && "live", step.fault && "fault")),
      track(axis, step.start_ms, step.latency_ms ?? 0));
    const details = make("details", {}, make("summary", {}, row));
    details.style.setProperty("--depth", depth);
    whenOpened(details, () => details.append(make("div", { class: "body" }, step.above ?? null, body(step))));
    if (step.missing) filled(details);
    const item = make("li", { class: `step ${step.kind} ${step.failed ? "failed" : ""}`, "data-index": step.index }, details);
    return item;
  };

  const trace = (steps, root, linkTo) => {
    if (steps.length === 0) return make("p", { class: "facts" }, "no calls");
    const axis = axisOf(steps);
    const known = new Set(steps.map((each) => each.index));
    const below = new Map();
    for (const each of steps) {
      const parent = known.has(each.parent) && each.parent < each.index ? each.parent : null;
      if (!below.has(parent)) below.set(parent, []);
      below.get(parent).push(each);
    }
    const list = make("ol", { class: "steps" }, root ? agentRow(root, axis) : null);
    const waiting = (below.get(null) ?? []).map((each) => [each, root ? 1 : 0, list]).reverse();
    while (waiting.length) { // no recursion: chains may be thousands of calls deep
      const [step, depth, into] = waiting.pop();
      const item = stepRow(step, Math.min(depth, 12), axis, linkTo && linkTo(step.index));
      into.append(item);
      const nested = below.get(step.index) ?? [];
      if (nested.length) {
        const inner = depth < 12 ? item.appendChild(make("ol", {})) : into;
        waiting.push(...nested.map((each) => [each, depth + 1, inner]).reverse());
      }
    }
    return make("div", {}, axisLine(axis), list);
  };

  const agentRow = (root, axis) => make("li", { class: "step agent" }, make("details", {}, make("summary", {},
    make("span", { class: "row" },
      make("bdi", { class: "what" }, make("span", { class: "kind" }, "agent"), root.name),
      make("span", { class: "facts" }, facts(tokens(root.usage), price(root), time(axis?.total))),
      track(axis, axis?.start, axis?.total))),
  make("div", { class: "body facts" }, root.about)));

  // -- side by side

  const shownRow = (row, before, after) => {
    const [old, now] = [before.get(row.old), after.get(row.new)];
    const side = (step, of) => make("span", { class: of },
      step ? make("bdi", { class: "what" }, make("span", { class: "kind" }, `#${step.index} ${step.label ?? step.kind}`), bare(step)) : null,
      step ? make("span", { class: "facts" }, " ", facts(tokens(step.usage), price(step), time(step.latency_ms))) : null);
    const words = { "=": "same", "~": "changed", "+": "new", "-": "gone", ">": "moved" };
    const is = row.sign === "=" ? "same" : row.sign === "+" ? "new" : row.sign === "-" ? "old" : "";
    const details = make("details", { class: `change ${is}` }, make("summary", {}, make("span", { class: "row" },
      make("span", { class: "facts" }, `${words[row.sign]}${row.follows ? ", follows" : ""}`),
      side(old, "before"), side(now, "after"))));
    whenOpened(details, () => details.append(fieldTable(row.fields) ?? "", make("div", { class: "sides" },
      make("div", { role: "group", "aria-label": "before" }, old ? body(old, now) : null),
      make("div", { role: "group", "aria-label": "after" }, now ? body(now, old) : null))));
    if (row.sign !== "=" && !row.follows) filled(details);
    return details;
  };

  const sidesHead = () => make("div", { class: "change heads" }, make("span", { class: "row facts" },
    make("span"), make("span", {}, "before"), make("span", {}, "after")));

  const sideBySide = (change, after) => {
    const [old, now] = [change.before, after].map((steps) => new Map(steps.map((each) => [each.index, each])));
    const out = [];
    let equal = [];
    const fold = () => {
      if (equal.length > 2) {
        const kept = equal;
        const folded = make("details", { class: "same" }, make("summary", {}, `${count(kept.length, "call")} the same`));
        out.push(whenOpened(folded, () => folded.append(...kept.map((each) => shownRow(each, old, now)))));
      } else out.push(...equal.map((each) => shownRow(each, old, now)));
      equal = [];
    };
    for (const row of change.rows) {
      if (row.sign === "=") equal.push(row);
      else { fold(); out.push(shownRow(row, old, now)); }
    }
    fold();
    return [
      change.cause ? make("p", { class: "cause" }, make("bdi", {}, change.cause)) : null,
      make("div", {}, sidesHead(), out),
      change.not_reached ? make("p", { class: "facts" }, `${count(change.not_reached, "recorded call")} not reached`) : null,
    ];
  };

  // -- what is listed: tests, cassettes or changes

  const copying = (command) => {
    const button = make("button", { type: "button", onclick: () => {
      const done = () => { button.textContent = "copied"; setTimeout(() => { button.textContent = "copy"; }, 1500); };
      navigator.clipboard?.writeText(command).then(done, () => {});
    } }, "copy");
    return make("li", {}, make("code", {}, command), button);
  };
  const commands = (...listed) => make("ul", { class: "commands" }, listed.filter(Boolean).map(copying));

  const withMiss = (test) => { // the call that no recording answered comes last
    if (!test.miss) return test.steps;
    const end = test.steps.reduce((last, each) => Math.max(last, each.start_ms + (each.latency_ms ?? 0)), 0);
    return [...test.steps, ...test.miss.asked.map((each) => ({
      ...each, start_ms: end, missing: true, above: [
        make("p", { class: "cause" }, test.miss.nearest.length
          ? `no recording answers it; the nearest is #${test.miss.nearest[0].index}` : "no recording answers it"),
        fieldTable(test.miss.fields),
      ],
    }))];
  };

  const noted = (test) => [
    test.not_reached && `the run ended early: ${count(test.not_reached, "recorded call")} not reached`,
    ...(test.verified?.moved ?? []).map((each) => `live, the answer has another shape: ${each}`),
    ...test.real_in_replay.map((each) => `${each} runs for real in replay: put @tool above it`),
    test.stale && `the recording was ${test.stale}`,
    test.pending && `a recording is pending in ${test.pending}: --snapshot-update accepts it`,
  ].filter(Boolean);

  const ofTest = (test) => ({
    name: test.nodeid,
    is: test.outcome,
    label: test.outcome,
    facts: [test.action, count(test.calls, "call"), test.live && `${test.live} live`,
      test.unplayed && `${test.unplayed} unplayed`, tokens(test.usage), price(test),
      time(test.duration_ms)],
    steps: withMiss(test),
    marks: [test.live && "live", (test.change || test.wrote) && "changed", test.pending && "pending", test.stale && "stale",
      test.verified?.moved.length && "moved"],
    said: [test.failure, test.miss, noted(test)],
    taken: test,
    isBad: test.outcome === "failed" || test.verified?.moved.length > 0,
    fill: (linkTo) => [
      commands(`pytest ${quoted(test.nodeid)}`,
        (test.outcome === "failed" || test.change) && `pytest ${quoted(test.nodeid)} --snapshot-update`,
        test.outcome === "failed" && `pytest ${quoted(test.nodeid)} --agenttape-record`,
        test.steps.length > 0 && `pytest --agenttape-show ${quoted(test.path)}`),
      test.failure ? make("details", test.miss ? {} : { open: "" }, make("summary", {}, "Failure"),
        make("pre", { class: "failure", dir: "auto", tabindex: 0 }, test.failure)) : null,
      noted(test).map((each) => make("p", { class: "cause" }, make("bdi", {}, each))),
      test.change ? [make("h3", {}, `What changed: ${test.change.summary}`), sideBySide(test.change, test.steps),
        make("h3", {}, "The run")] : null,
      trace(withMiss(test), {
        ...test, name: test.nodeid.split("::").slice(1).join("::") || test.nodeid,
        about: facts(test.place, test.path, test.path && `mode ${test.mode}`, test.wrote ? "written" : "not written",
          `loaded in ${time(test.load_ms)}`),
      }, linkTo),
    ],
  });

  const ofCassette = (cassette) => ({
    name: cassette.path,
    is: "cassette",
    label: "recorded",
    facts: [count(cassette.steps.length, "call"), tokens(cassette.usage), price(cassette), time(cassette.duration_ms)],
    steps: cassette.steps,
    marks: [],
    said: [],
    taken: { ...cassette, calls: cassette.steps.length },
    fill: (linkTo) => [
      commands(`pytest --agenttape-show ${quoted(cassette.path)}`, cassette.test && `pytest ${quoted(cassette.test)}`),
      trace(cassette.steps, { ...cassette, name: cassette.test ?? cassette.path,
        about: facts(cassette.created_at && `recorded ${cassette.created_at}`, cassette.tags.join(", ")) }, linkTo),
    ],
  });

  const ofChange = (change) => ({
    name: change.path,
    is: change.change,
    label: change.change,
    facts: [change.was && `was ${change.was}`,
      `${change.calls.old} → ${count(change.calls.new, "call")}`, `${change.tokens.old.toLocaleString("en")} → ${count(change.tokens.new, "token")}`,
      ...Object.entries(change.tools).map(([tool, more]) => `${tool} ${more > 0 ? "+" : ""}${more}`)],
    steps: [...change.before, ...change.after],
    marks: [],
    said: [change.cause, change.rows],
    taken: { calls: change.calls.new, usage: { total_tokens: change.tokens.new }, cost: change.cost.new, duration_ms: 0 },
    fill: () => [
      commands(change.change !== "gone" && `pytest --agenttape-show ${quoted(change.path)}`, `git log -p -- ${quoted(change.path)}`),
      make("p", { class: "facts" }, change.summary), sideBySide(change, change.after),
    ],
  });

  const kinds = {
    run: [report.tests, ofTest, "Agent tests", "test"],
    cassettes: [report.cassettes, ofCassette, "Recorded runs", "cassette"],
    changes: [report.changes, ofChange, `What the agents do: ${report.new} against ${report.old}`, "cassette"],
  };
  const [given, viewOf, title, noun] = kinds[report.kind];

  const items = given.map((each, position) => {
    const view = viewOf(each);
    const [file, ...rest] = report.kind === "run" ? view.name.split("::") : ["", view.name];
    const anchor = `#t=${encodeURIComponent(view.name)}`;
    const node = make("details", { class: `test ${view.is}` }, make("summary", {}, make("span", { class: "row" },
      make("span", { class: "badge" }, view.label),
      make("bdi", { class: "name" }, file ? make("span", { class: "file" }, `${file}::`) : null, rest.join("::"),
        make("a", { class: "link", href: anchor, title: "link to this" }, "#")),
      make("span", { class: "facts" }, facts(...view.facts)))));
    whenOpened(node, () => {
      node.append(make("div", {}, view.fill((index) => `${anchor}&c=${index}`)));
      mark(item);
    });
    const item = { ...view, node, position, texts: null };
    return item;
  });

  // -- search, filter, order

  const textsOf = (item) => { // made when first searched
    item.texts ??= {
      own: `${item.name}\n${JSON.stringify(item.said)}`.toLowerCase(),
      steps: new Map(item.steps.map((each) => [each, `${each.summary}\n${JSON.stringify(each.parts)}`.toLowerCase()])),
    };
    return item.texts;
  };
  const wanted = () => ({ words: byId("search").value.toLowerCase().trim(), kind: byId("kind").value, only: byId("only").value });
  const fitting = (item, { words, kind }) => item.steps.filter((each) =>
    (kind === "" || each.kind === kind) && (words === "" || textsOf(item).steps.get(each).includes(words)));
  const mark = (item) => {
    const asked = wanted();
    const isNamed = asked.words === "" || item.name.toLowerCase().includes(asked.words);
    const fit = new Set((isNamed ? item.steps.filter((each) => asked.kind === "" || each.kind === asked.kind)
      : fitting(item, asked)).map((each) => String(each.index)));
    for (const node of item.node.querySelectorAll("li.step[data-index]")) node.classList.toggle("dim", !fit.has(node.dataset.index));
  };
  const apply = () => {
    const asked = wanted();
    let shown = 0;
    for (const item of items) {
      const isOf = asked.only === "" || item.is === asked.only || item.marks.includes(asked.only);
      const isFound = asked.words === "" || textsOf(item).own.includes(asked.words);
      const fits = isOf && ((isFound && asked.kind === "") || fitting(item, isFound ? { ...asked, words: "" } : asked).length > 0);
      item.node.hidden = !fits;
      shown += fits;
      if (fits && item.node.open) mark(item);
    }
    byId("shown").textContent = `${shown.toLocaleString("en")} of ${count(items.length, noun)}`;
  };

  const number = (get) => (a, b) => (get(b.taken) ?? 0) - (get(a.taken) ?? 0) || a.position - b.position;
  const orders = {
    "failures first": (a, b) => Boolean(b.isBad) - Boolean(a.isBad) || a.position - b.position,
    name: (a, b) => a.position - b.position,
    cost: number((each) => Number(each.cost)),
    tokens: number((each) => each.usage?.total_tokens),
    time: number((each) => each.duration_ms),
    calls: number((each) => each.calls),
  };
  const sort = () => byId("list").append(...[...items].sort(orders[byId("order").value]).map((each) => each.node));

  // -- links

  const follow = () => {
    const found = /^#t=([^&]*)(?:&c=(\d+))?$/.exec(location.hash);
    const item = found && items.find((each) => encodeURIComponent(each.name) === found[1]);
    if (!item) return;
    item.node.hidden = false;
    filled(item.node);
    const call = found[2] === undefined ? null : item.node.querySelector(`li.step[data-index="${found[2]}"] > details`);
    const target = call ? filled(call) : item.node;
    target.scrollIntoView({ block: "start" });
    target.querySelector("summary").focus({ preventScroll: true });
  };

  // -- the head of the page

  const totals = () => {
    const whole = report.totals;
    if (report.kind === "changes") return [["Compared", report.summary]];
    const spent = (each) => (each.input_tokens + each.output_tokens === 0 ? "nothing"
      : facts(count(each.input_tokens + each.output_tokens, "token"), money(each.cost) || unpriced));
    const sum = [["Calls", whole.calls.toLocaleString("en")], ["Tokens", tokens(whole.usage) || "0"],
      ["Cost", money(whole.cost) || "unknown"], ["Time", time(whole.duration_ms) || "not timed"]];
    if (report.kind === "cassettes") return [["Cassettes", report.cassettes.length], ...sum];
    return [["Tests", whole.tests], ["Failed", whole.failed, whole.failed], ...sum, ["Live calls", whole.live],
      ["Spent now", spent(whole.spent)], ["Saved by replay", spent(whole.saved)], ["Unplayed", whole.unplayed, whole.unplayed]];
  };

  const modelTable = (models) => make("details", { class: "notice" }, make("summary", {}, count(models.length, "model")),
    make("table", {}, make("thead", {}, make("tr", {}, ["model", "calls", "input", "output", "cost", "time"].map((each, at) =>
      make("th", { scope: "col", class: at ? "number" : "" }, each)))),
    make("tbody", {}, models.map((each) => make("tr", {}, make("th", { scope: "row" }, make("bdi", {}, each.model)),
      [each.calls, each.usage.input_tokens, each.usage.output_tokens].map((cell) =>
        make("td", { class: "number" }, cell.toLocaleString("en"))),
      make("td", { class: "number" }, money(each.cost) || "unknown"), make("td", { class: "number" }, time(each.latency_ms)))))));

  const comparisonTable = (compared) => make("section", { class: "notice" }, make("h2", {}, make("bdi", {}, compared.title)),
    make("p", { class: "cause" }, `${compared.pass_rate}: ${compared.total}`),
    make("table", {}, make("thead", {}, make("tr", {}, ["test", "verdict", ...compared.columns, "first divergence"].map((each) =>
      make("th", { scope: "col" }, each)))),
    make("tbody", {}, compared.tests.map((each) => make("tr", {}, make("th", { scope: "row" }, make("bdi", {}, each.nodeid)),
      make("td", { class: each.passed < each.runs.length ? "bad" : "" }, each.verdict),
      each.cells.map((cell) => make("td", {}, cell)),
      make("td", {}, each.divergences.map((said) => make("div", {}, make("bdi", {}, said)))))))));

  const listed = (title, lines) => (lines?.length ? make("section", { class: "notice" }, make("h2", {}, title),
    make("ul", {}, lines.map((each) => make("li", {}, make("bdi", {}, each))))) : null);

  const notices = () => [
    listed("Refused outside of all tests, so the run fails", report.refused),
    listed("Cassettes that no test claims", report.orphans),
    report.comparison ? comparisonTable(report.comparison) : null,
    report.models?.length ? modelTable(report.models) : null,
    make("details", { class: "notice" }, make("summary", {}, "About this report"), make("dl", { class: "tree" },
      Object.entries({ command: about.command, python: about.python, platform: about.platform, ...about.versions })
        .flatMap(([name, each]) => [make("dt", {}, name), make("dd", {}, make("bdi", {}, each))]))),
  ].filter(Boolean);

  const about = report.about;
  const commit = about.commit;
  byId("title").textContent = visible(title);
  document.title = visible(`${title}: ${count(items.length, noun)}`);
  byId("about").append(make("bdi", {}, facts(about.time.replace("T", " ").replace("+00:00", " UTC"),
    commit && `${commit.branch} ${commit.id.slice(0, 10)}${commit.changed ? ", changed since" : ""}`.trim(),
    `pytest-agenttape ${about.versions["pytest-agenttape"] ?? ""}`)));
  byId("totals").append(...totals().map(([name, said, isBad]) =>
    make("div", {}, make("dt", {}, name), make("dd", { class: isBad ? "bad" : "" }, said))));
  byId("notices").append(...notices());
  byId("kind").append(...[...new Set(items.flatMap((item) => item.steps.map((each) => each.kind)))].sort().map((each) => make("option", {}, each)));
  byId("only").append(make("option", { value: "" }, "all"), ...[...new Set(items.flatMap((item) => [item.is, ...item.marks]))]
    .filter(Boolean).sort().map((each) => make("option", {}, each)));
  byId("order").append(...Object.keys(orders).filter((each) => each !== "failures first" || report.kind === "run")
    .map((each) => make("option", {}, each)));

  const themes = ["auto", "light", "dark"];
  const theme = (name) => {
    document.documentElement.dataset.theme = name;
    byId("theme").textContent = `theme: ${name}`;
    try { localStorage.setItem("agenttape-theme", name); } catch { /* a file may have no storage */ }
  };
  const nextTheme = () => theme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]);
  let kept = null;
  try { kept = localStorage.getItem("agenttape-theme"); } catch { /* as above */ }
  theme(themes.includes(kept) ? kept : "auto");

  // -- keys

  const openable = () => [...document.querySelectorAll("#list summary")].filter((each) => each.checkVisibility());
  const move = (by) => {
    const all = openable();
    const at = all.indexOf(document.activeElement);
    all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)]?.focus();
  };
  const close = (summary) => {
    const own = summary.parentElement;
    const target = own.open ? own : own.parentElement.closest("details");
    if (target) { target.open = false; target.querySelector("summary").focus(); }
  };
  const keys = {
    "/": () => byId("search").focus(),
    j: () => move(1),
    k: () => move(-1),
    t: nextTheme,
    ArrowRight: (focused) => { if (focused.tagName === "SUMMARY") focused.parentElement.open = true; },
    ArrowLeft: (focused) => { if (focused.tagName === "SUMMARY") close(focused); },
  };
  document.addEventListener("keydown", (event) => {
    const focused = document.activeElement;
    if (event.key === "Escape" && focused === byId("search")) {
      byId("search").value = "";
      apply();
      focused.blur();
    } else if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey && !["INPUT", "SELECT"].includes(focused.tagName)) {
      if (event.key === "/") event.preventDefault();
      keys[event.key](focused);
    }
  });
  for (const id of ["search", "kind", "only"]) byId(id).addEventListener("input", apply);
  byId("order").addEventListener("input", sort);
  byId("theme").addEventListener("click", nextTheme);
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", follow);
  sort();
  apply();
  for (const item of items.filter((each) => each.isBad).slice(0, 3)) filled(item.node);
  if (report.kind !== "run" && items.length <= 3) items.forEach((item) => filled(item.node));
  follow();
})();
