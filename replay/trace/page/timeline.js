// The time line of one history, or of two beside each other. Everything is drawn from the data in the page: a canvas with the part of the
// lanes that is in view, and of the list only the rows in view, so that the length of a history does not matter.
// Invariant: `at` is the position of the current event in the first run; all views show the state after it.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const ROW = 22, LANE = 18, NAMES = 190, HEAD = 18;
  const runs = data.runs;
  const main = runs[0];
  const bad = data.divergence && data.divergence.verdict === "DIVERGED" ? data.divergence : null;
  let at = 0, byTime = false, zoom = 1, offset = 0, badAt = -1;

  // --- indexes -----------------------------------------------------------------------------------------------------------
  // An event is [id, type, ms since the start, lane, opened by, fact]; an item [kind, id, type, opened, started, closed, lane].
  for (const run of runs) {
    run.place = new Map(run.events.map((event, index) => [event[0], index]));
    run.lineOf = new Map((run.lines || []).map((line) => [line[0], line[1]]));
    run.ends = run.tasks.map((task) => run.place.get(task[2]) ?? 0);
    run.laneItems = run.lanes.map(() => []);
    run.laneEvents = run.lanes.map(() => []);
    run.items.forEach((item) => run.laneItems[item[6]].push(item));
    run.events.forEach((event, index) => run.laneEvents[event[3]].push(index));
    run.snapshots = new Map();
    run.length = run.events.length ? Math.max(1, run.events[run.events.length - 1][2]) : 1;
  }
  if (bad && bad.first) {
    const execution = main.execution || 1;
    if ((bad.execution || 1) === execution) badAt = main.place.get(bad.first.eventId || bad.first.workflowTaskStartedEventId) ?? -1;
  }

  const typeOf = (run, event) => run.types[event[1]];
  const clock = (ms) => {
    if (ms < 1000) return ms + "ms";
    if (ms < 60000) return (ms / 1000).toFixed(3) + "s";
    const minutes = Math.floor(ms / 60000);
    const rest = ((ms % 60000) / 1000).toFixed(1).padStart(4, "0");
    return minutes < 60 ? minutes + "m" + rest + "s" : Math.floor(minutes / 60) + "h" + String(minutes % 60).padStart(2, "0") + "m" + rest + "s";
  };
  const element = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colorOf = (run, event) => {
    const type = typeOf(run, event);
    if (/Failed|TimedOut|Terminated/.test(type)) return "--failed";
    if (type.startsWith("WorkflowTask")) return "--task";
    if (type.startsWith("Timer")) return "--timer";
    if (type.includes("Signal")) return "--signal";
    if (type.startsWith("Activity")) return "--activity";
    if (type.includes("Child")) return "--child";
    return "--event";
  };

  // --- state at a point ----------------------------------------------------------------------------------------------------
  const lastAtMost = (list, value) => {
    let low = -1, high = list.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (list[middle] <= value) low = middle; else high = middle - 1;
    }
    return low;
  };
  const taskAt = (run, index) => lastAtMost(run.ends, index);
  const merge = (target, patch) => {
    if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
    const result = target !== null && typeof target === "object" && !Array.isArray(target) ? { ...target } : {};
    for (const key of Object.keys(patch)) {
      if (patch[key] === null) delete result[key]; else result[key] = merge(result[key], patch[key]);
    }
    return result;
  };
  // Snapshots are kept as changes from task to task; every 64th is remembered once it has been made.
  const snapshotAt = (run, task) => {
    if (!run.patches || task < 0) return null;
    let from = Math.floor(task / 64) * 64;
    while (from > 0 && !run.snapshots.has(from)) from -= 64;
    let snapshot = from > 0 ? run.snapshots.get(from) : {};
    for (let i = from > 0 ? from + 1 : 0; i <= task; ++i) {
      if (run.patches[i] !== 0) snapshot = merge(snapshot, run.patches[i]);
      if (i > 0 && i % 64 === 0) run.snapshots.set(i, snapshot);
    }
    return snapshot;
  };
  const pendingAt = (run, index) => {
    const id = run.events[index][0];
    return run.items.filter((item) => item[3] <= id && (item[5] === 0 || item[5] > id));
  };

  // --- the lanes -----------------------------------------------------------------------------------------------------------
  const lanesBox = $("lanes"), canvas = lanesBox.querySelector("canvas"), spacer = lanesBox.querySelector(".spacer");
  const context = canvas.getContext("2d");
  const rows = [];
  runs.forEach((run, number) => run.lanes.forEach((lane, index) => rows.push({ run, index, name: (runs.length > 1 ? (number + 1) + ": " : "") + lane })));
  const spanOf = (run) => (byTime ? run.length : Math.max(1, run.events.length - 1));
  const position = (run, index) => (byTime ? run.events[index][2] : index);
  const shownSpan = () => Math.max(...runs.map(spanOf)) / zoom;
  const toX = (value, width) => NAMES + ((value - offset) / shownSpan()) * (width - NAMES - 12);
  const keepInView = () => {
    const span = shownSpan(), total = Math.max(...runs.map(spanOf)), here = position(main, at);
    if (here < offset || here > offset + span) offset = here - span / 2;
    offset = Math.max(0, Math.min(offset, total - span));
  };
  const drawLanes = () => {
    const width = lanesBox.clientWidth, height = lanesBox.clientHeight, scale = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
    }
    spacer.style.height = HEAD + rows.length * LANE + 8 + "px";
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    context.textBaseline = "middle";
    const paints = {};
    for (const name of ["--text", "--dim", "--line", "--task", "--activity", "--timer", "--signal", "--child", "--nexus", "--event", "--failed", "--bad", "--badbg", "--cursor", "--bg", "--panel"]) paints[name] = color(name);
    const top = lanesBox.scrollTop;
    const first = Math.max(0, Math.floor((top - HEAD) / LANE)), last = Math.min(rows.length, Math.ceil((top + height - HEAD) / LANE) + 1);
    if (badAt >= 0) {
      const task = main.tasks[Math.min(main.tasks.length - 1, taskAt(main, badAt - 1) + 1)];
      const from = toX(position(main, main.place.get(task[0]) ?? badAt), width), to = toX(position(main, main.place.get(task[2]) ?? badAt), width);
      context.fillStyle = paints["--badbg"];
      context.fillRect(Math.max(NAMES, Math.min(from, to) - 3), 0, Math.max(6, Math.abs(to - from) + 6), height);
    }
    for (let i = first; i < last; ++i) {
      const row = rows[i], run = row.run, y = HEAD + i * LANE - top + LANE / 2;
      context.strokeStyle = paints["--line"];
      context.beginPath(); context.moveTo(NAMES, y + LANE / 2 + .5); context.lineTo(width, y + LANE / 2 + .5); context.stroke();
      for (const item of run.laneItems[row.index]) {
        const opened = run.place.get(item[3]), closed = item[5] ? run.place.get(item[5]) : run.events.length - 1;
        const x = toX(position(run, opened), width), end = toX(position(run, closed), width);
        if (end < NAMES || x > width) continue;
        context.fillStyle = paints["--" + ({ activity: "activity", timer: "timer", childWorkflow: "child", nexusOperation: "nexus" }[item[0]] || "event")];
        context.globalAlpha = item[5] ? .55 : .3;
        context.fillRect(Math.max(NAMES, x), y - 5, Math.max(2, end - Math.max(NAMES, x)), 10);
        context.globalAlpha = 1;
      }
      // At most one mark a pixel: what lies closer than that is one mark.
      const marks = run.laneEvents[row.index];
      let painted = -9;
      let from = 0;
      if (!byTime) from = Math.max(0, lastAtMost(marks, Math.floor(offset)) - 1);
      for (let k = from; k < marks.length; ++k) {
        const x = toX(position(run, marks[k]), width);
        if (x > width) break;
        if (x < NAMES || (x - painted < 1 && marks[k] !== badAt)) continue;
        painted = x;
        const isBad = run === main && marks[k] === badAt;
        context.fillStyle = paints[isBad ? "--bad" : colorOf(run, run.events[marks[k]])];
        context.beginPath(); context.arc(x, y, isBad ? 6 : 3, 0, 7); context.fill();
      }
      context.fillStyle = paints["--bg"];
      context.fillRect(0, y - LANE / 2, NAMES - 6, LANE);
      context.fillStyle = paints["--text"];
      let name = row.name;
      while (name.length > 4 && context.measureText(name).width > NAMES - 22) name = name.slice(0, -4) + "…";
      context.fillText(name, 14, y);
    }
    const here = toX(position(main, at), width);
    context.strokeStyle = paints["--cursor"];
    context.lineWidth = 1.5;
    context.beginPath(); context.moveTo(here, 0); context.lineTo(here, height); context.stroke();
    context.lineWidth = 1;
    context.fillStyle = paints["--bg"];
    context.fillRect(0, 0, width, HEAD - 2);
    context.fillStyle = paints["--dim"];
    for (let k = 0; k <= 8; ++k) {
      const value = offset + (shownSpan() * k) / 8;
      const label = byTime ? "+" + clock(Math.round(value)) : "#" + (main.events[Math.min(main.events.length - 1, Math.round(value))] || [0])[0];
      context.fillText(label, Math.min(toX(value, width), width - 50), HEAD / 2);
    }
  };

  // --- the list ------------------------------------------------------------------------------------------------------------
  const list = $("list"), rowsBox = list.querySelector(".rows");
  const sizer = element("div");
  list.appendChild(sizer);
  sizer.style.height = main.events.length * ROW + "px";
  const drawList = () => {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5), last = Math.min(main.events.length, first + Math.ceil(list.clientHeight / ROW) + 10);
    rowsBox.style.top = first * ROW + "px";
    const made = document.createDocumentFragment();
    for (let i = first; i < last; ++i) {
      const event = main.events[i], row = element("div", undefined, "row" + (i === at ? " now" : "") + (i === badAt ? " bad" : "") + (badAt >= 0 && i > badAt ? " after" : ""));
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", i === at ? "true" : "false");
      if (i === at) row.id = "now";
      row.dataset.index = i;
      const dot = element("span", undefined, "dot");
      dot.style.background = "var(" + colorOf(main, event) + ")";
      row.append(element("span", event[0], "id"), element("span", "+" + clock(event[2]), "at"), dot, element("span", typeOf(main, event), "type"), element("span", event[5], "fact"));
      made.appendChild(row);
    }
    rowsBox.replaceChildren(made);
  };

  // --- the state -----------------------------------------------------------------------------------------------------------
  const side = $("side");
  const table = (parent, head, body) => {
    const made = element("table");
    if (head) {
      const row = element("tr");
      head.forEach((text) => row.appendChild(element("th", text)));
      made.appendChild(row);
    }
    body.forEach((cells) => {
      const row = element("tr");
      cells.forEach((cell) => row.appendChild(cell instanceof Node ? (() => { const box = element("td"); box.appendChild(cell); return box; })() : element("td", cell)));
      made.appendChild(row);
    });
    parent.appendChild(made);
  };
  const drawDivergence = (parent) => {
    const first = bad.first;
    parent.appendChild(element("h2", "Divergence: " + first.grade + " " + first.kind));
    const facts = [["command", first.command || "-"]];
    if (first.stepId) facts.push(["step", first.stepId]);
    if (first.source) facts.push(["issued at", first.source.file + ":" + first.source.line + " in " + first.source.function]);
    if (first.recordedSource) facts.push(["recorded at", first.recordedSource.file + ":" + first.recordedSource.line]);
    for (const field of bad.fields || []) facts.push([field.path, (() => { const box = element("div", undefined, "mono"); box.append(element("div", "− " + (field.expected ?? "nothing"), "del"), element("div", "+ " + (field.actual ?? "nothing"), "ins")); return box; })()]);
    if (!(bad.fields || []).length) facts.push(["expected", first.expected ?? "nothing"], ["actual", first.actual ?? "nothing"]);
    table(parent, null, facts);
    if (bad.expectedCommand || bad.actualCommand) {
      const sides = element("div", undefined, "sides");
      for (const [name, value] of [["expected, from the history", bad.expectedCommand], ["actual, from this build", bad.actualCommand]]) {
        const box = element("div");
        box.append(element("div", name, "dim"), element("pre", value ? JSON.stringify(value, null, 1) : "(nothing)"));
        sides.appendChild(box);
      }
      parent.appendChild(sides);
    }
    parent.appendChild(element("h2", "Causes, most likely first"));
    table(parent, null, (bad.causes || []).slice(0, 5).map((cause) => [cause.confidence.toFixed(2), cause.cause + (cause.source ? " at " + cause.source.file + ":" + cause.source.line : ""), cause.evidence.join("; ")]));
    if (bad.repair && bad.repair.patch) parent.append(element("h2", "Smallest version gate"), element("pre", bad.repair.patch));
    if (bad.reproduce) parent.append(element("h2", "To reproduce"), element("pre", bad.reproduce.join("\n")));
  };
  const drawRun = (parent, run, index) => {
    const event = run.events[index], task = taskAt(run, index);
    parent.appendChild(element("h2", "#" + event[0] + " " + typeOf(run, event) + " at +" + clock(event[2])));
    const facts = [];
    if (event[5]) facts.push(["fact", event[5]]);
    if (run.lineOf.has(event[0])) facts.push(["issued at", run.lineOf.get(event[0])]);
    if (event[4]) facts.push(["of", "#" + event[4]]);
    if (facts.length) table(parent, null, facts);
    const pending = pendingAt(run, index);
    parent.appendChild(element("h2", "Pending: " + pending.length));
    if (pending.length) {
      table(parent, ["", "what", "id", "state", "for", "issued at"], pending.slice(0, 200).map((item) => {
        const opened = run.events[run.place.get(item[3])];
        return ["#" + item[3], item[0] + (item[2] ? " " + item[2] : ""), item[1], item[4] && item[4] <= event[0] ? "started" : "scheduled", clock(event[2] - opened[2]), run.lineOf.get(item[3]) || ""];
      }));
      if (pending.length > 200) parent.appendChild(element("div", "and " + (pending.length - 200) + " more", "dim"));
    }
    if (run.awaits) {
      const stacks = task >= 0 && run.awaits[task] ? run.awaits[task] : [];
      parent.appendChild(element("h2", "Waiting coroutines after workflow task " + (task + 1) + ": " + stacks.length));
      if (stacks.length) parent.appendChild(element("pre", stacks.slice(0, 60).map((stack) => run.stacks[stack]).join("\n")));
    }
    const snapshot = snapshotAt(run, task);
    if (snapshot && snapshot.steps) {
      parent.appendChild(element("h2", "Snapshot at runSeq " + (snapshot.lastEventSeq ?? "") + ": run " + (snapshot.status ?? "")));
      const chips = element("div", undefined, "chips");
      Object.keys(snapshot.steps).slice(0, 400).forEach((id) => {
        const step = snapshot.steps[id], attempts = Array.isArray(step) ? step : step.attempts || [];
        const status = step.status || (attempts.length ? attempts[attempts.length - 1].status : "");
        chips.appendChild(element("span", id + " " + status + (attempts.length > 1 ? " ×" + attempts.length : ""), "chip " + status));
      });
      parent.appendChild(chips);
    }
  };
  // In the other run the same number of workflow tasks has been done.
  const otherIndex = (run) => {
    const task = taskAt(main, at);
    if (task < 0) return Math.min(at, run.events.length - 1);
    return task < run.ends.length ? run.ends[task] : run.events.length - 1;
  };
  const drawSide = () => {
    const made = document.createDocumentFragment();
    if (bad && at === badAt) drawDivergence(made);
    if (runs.length > 1) {
      const sides = element("div", undefined, "sides");
      runs.forEach((run, number) => {
        const box = element("div");
        box.appendChild(element("div", (number + 1) + ": " + run.path, "dim"));
        drawRun(box, run, number === 0 ? at : otherIndex(run));
        sides.appendChild(box);
      });
      made.appendChild(sides);
    } else if (main.events.length) {
      drawRun(made, main, at);
    }
    side.replaceChildren(made);
  };

  // --- moving --------------------------------------------------------------------------------------------------------------
  let scheduled = false;
  const redraw = () => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; drawLanes(); drawList(); drawSide(); });
  };
  const go = (index, center) => {
    at = Math.max(0, Math.min(main.events.length - 1, index));
    $("range").value = at;
    const event = main.events[at];
    $("where").textContent = event ? "event " + event[0] + " of " + main.events.length + ", +" + clock(event[2]) + ", " + (taskAt(main, at) + 1) + " of " + main.tasks.length + " workflow tasks done" : "no events";
    const top = at * ROW;
    if (center || top < list.scrollTop || top > list.scrollTop + list.clientHeight - ROW) list.scrollTop = center ? top - list.clientHeight / 2 : top < list.scrollTop ? top : top - list.clientHeight + 2 * ROW;
    keepInView();
    redraw();
  };
  const goTask = (step) => {
    const task = taskAt(main, at);
    if (step < 0) go(task <= 0 ? 0 : main.ends[main.ends[task] < at ? task : task - 1]);
    else go(task + 1 < main.ends.length ? main.ends[task + 1] : main.events.length - 1);
  };
  const setZoom = (factor) => {
    const here = position(main, at), before = shownSpan();
    zoom = Math.max(1, Math.min(Math.max(1, Math.max(...runs.map(spanOf)) / 10), zoom * factor));
    offset = here - ((here - offset) / before) * shownSpan();
    keepInView();
    redraw();
  };
  const find = () => {
    const wanted = $("find").value.toLowerCase();
    if (!wanted) return;
    for (let step = 1; step <= main.events.length; ++step) {
      const index = (at + step) % main.events.length, event = main.events[index];
      if ((event[0] + " " + typeOf(main, event) + " " + event[5]).toLowerCase().includes(wanted)) { go(index, true); return; }
    }
  };
  const setTheme = (dark) => {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    redraw();
  };
  const toggleTime = () => {
    byTime = !byTime;
    $("by-time").setAttribute("aria-pressed", byTime);
    zoom = 1; offset = 0;
    redraw();
  };
  const toggleTheme = () => setTheme(document.documentElement.dataset.theme !== "dark");
  const keys = {
    ArrowRight: (event) => (event.shiftKey ? goTask(1) : go(at + 1)), ArrowLeft: (event) => (event.shiftKey ? goTask(-1) : go(at - 1)),
    ArrowDown: () => go(at + 1), ArrowUp: () => go(at - 1), j: () => go(at + 1), k: () => go(at - 1),
    "]": () => goTask(1), "[": () => goTask(-1), PageDown: () => go(at + 50), PageUp: () => go(at - 50),
    Home: () => go(0), End: () => go(main.events.length - 1), "+": () => setZoom(1.5), "=": () => setZoom(1.5), "-": () => setZoom(1 / 1.5),
    "0": () => { zoom = 1; offset = 0; redraw(); }, d: () => badAt >= 0 && go(badAt, true), "/": () => $("find").focus(), b: toggleTime, t: toggleTheme, "?": () => $("keys").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
    if (event.target === $("find")) {
      if (event.key === "Enter") find();
      if (event.key === "Escape") { $("find").blur(); list.focus(); }
      return;
    }
    const action = keys[event.key];
    if (!action || (event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " "))) return;
    event.preventDefault();
    action(event);
  });
  list.addEventListener("scroll", () => drawList());
  list.addEventListener("click", (event) => { const row = event.target.closest(".row"); if (row) go(Number(row.dataset.index)); });
  lanesBox.addEventListener("scroll", () => drawLanes());
  const pick = (event) => {
    const box = lanesBox.getBoundingClientRect(), value = offset + ((event.clientX - box.left - NAMES) / (box.width - NAMES - 12)) * shownSpan();
    if (event.clientX - box.left < NAMES) return;
    go(byTime ? Math.max(0, lastAtMost(main.events.map((entry) => entry[2]), value)) : Math.round(value));
  };
  lanesBox.addEventListener("pointerdown", (event) => { if (event.offsetX < lanesBox.clientWidth) { pick(event); lanesBox.dataset.drag = "1"; } });
  window.addEventListener("pointerup", () => delete lanesBox.dataset.drag);
  lanesBox.addEventListener("pointermove", (event) => { if (lanesBox.dataset.drag) pick(event); });
  lanesBox.addEventListener("wheel", (event) => { if (event.ctrlKey) { event.preventDefault(); setZoom(event.deltaY < 0 ? 1.25 : .8); } }, { passive: false });
  $("range").max = Math.max(0, main.events.length - 1);
  $("range").addEventListener("input", () => go(Number($("range").value)));
  $("back").onclick = () => go(at - 1); $("forward").onclick = () => go(at + 1);
  $("task-back").onclick = () => goTask(-1); $("task-forward").onclick = () => goTask(1);
  $("by-time").onclick = toggleTime; $("theme").onclick = toggleTheme; $("help").onclick = () => $("keys").showModal();
  $("to-bad").hidden = badAt < 0; $("to-bad").onclick = () => go(badAt, true);
  window.addEventListener("resize", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => setTheme(event.matches));

  document.documentElement.dataset.theme = window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.body.classList.toggle("two", runs.length > 1);
  $("title").textContent = main.workflowType + " " + main.path;
  $("facts").textContent = main.status + ", " + main.events.length + " events, " + main.tasks.length + " workflow tasks, " + clock(main.length);
  const verdict = data.verdict;
  $("badge").textContent = verdict === "DIVERGED" ? "DIVERGED" : verdict === "IDENTICAL" ? "in step" : main.status;
  $("badge").classList.add(verdict === "DIVERGED" ? "bad" : "good");
  go(badAt >= 0 ? badAt : 0, badAt >= 0);
  drawLanes(); drawList(); drawSide();
  document.documentElement.dataset.painted = String(Math.round(performance.now()));
})();
