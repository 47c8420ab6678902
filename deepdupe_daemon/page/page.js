"use strict";
// One page for a folder and for a server. Every text comes in as text: no markup is ever made from a string.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const live = data.groups === null;
  const STEP = 40; // groups put on the page at once, as they come into view
  const state = { groups: data.groups || [], shown: [], drawn: 0, here: -1, copy: 0 };

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  const bytes = (n) => (n < 1e6 ? `${Math.max(1, Math.round(n / 1e3))} kB` : `${(n / 1e6).toFixed(1)} MB`);
  const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
  const saved = (group) => group.copies.reduce((sum, copy) => sum + copy.size, 0);
  const best = (copy) => Math.max(-1, ...Object.values(copy.similarities));

  // -- the frame ------------------------------------------------------------------------------------------------------
  const find = make("input", { type: "search", placeholder: "find in names, folders, verdicts  ( / )", "aria-label": "Find" });
  const kind = make("select", { "aria-label": "Verdict" }, make("option", { value: "" }, "every verdict"));
  const change = make("select", { "aria-label": "Change" }, make("option", { value: "" }, "every change"));
  const order = make("select", { "aria-label": "Order" });
  for (const [value, text] of [["new", "newest first"], ["old", "oldest first"], ["size", "most space first"],
    ["like", "least alike first"], ["path", "by path"]]) order.append(make("option", { value }, text));
  const total = make("span");
  const main = make("main");
  const end = make("footer");
  const heat = make("div", { id: "heat", hidden: true, role: "img" });
  const keys = [["j k", "group"], ["h l", "copy"], ["o", "open"], ["d", "differences"]];
  const ACTIONS = [["accept", "a", "Quarantine"], ["not-duplicate", "n", "Not a duplicate"], ["restore", "r", "Restore"],
    ["keep", "c", "Keep this one"]];
  for (const [name, key, text] of ACTIONS) if (live && data.facts.can.includes(name)) keys.push([key, text.toLowerCase()]);
  const help = make("div", { class: "fine keys" });
  for (const [key, text] of keys) help.append(make("kbd", {}, key), ` ${text}  `);
  document.body.append(
    make("header", {}, make("h1", {}, "Duplicates ", total), make("div", { class: "tools" }, find, kind, change, order), help),
    main, end, heat);

  // -- a group --------------------------------------------------------------------------------------------------------
  function picture(file, copy) {
    const frame = make("button", { class: "picture", type: "button", "aria-label": `open ${file.name}` });
    const image = make("img", { loading: "lazy", decoding: "async", alt: file.name, src: `${data.pictures.thumb}/${file.thumb}` });
    image.addEventListener("error", () => frame.replaceChildren("no picture"), { once: true });
    frame.append(image);
    frame.addEventListener("click", () => open(file));
    if (copy && copy.heat && data.pictures.heat) {
      for (const [on, off] of [["mouseenter", "mouseleave"], ["focus", "blur"]]) {
        frame.addEventListener(on, () => showHeat(copy, frame));
        frame.addEventListener(off, hideHeat);
      }
    }
    return frame;
  }

  function open(file) {
    if (live) window.open(`${data.pictures.thumb}/large-${file.thumb}`, "_blank", "noopener");
    else window.open(file.href, "_blank", "noopener");
  }

  // What differs from the kept one stands out; what is equal to it stays faint.
  function facts(file, keeper) {
    const line = (parts) => {
      const shown = parts.filter(([text]) => text).flatMap(([text, differs], place) => [place ? " · " : "", make("span", { class: differs && "differs" }, text)]);
      return shown.length ? make("div", { class: "fine" }, ...shown) : null;
    };
    const size = (each) => (each.width ? `${each.width} × ${each.height}` : "");
    const taken = (each) => (each.taken ? `taken ${each.taken.replace(":", "-").replace(":", "-")}` : "");
    const part = (read) => [read(file), Boolean(keeper) && read(file) !== read(keeper)];
    return [
      line([part(size), part((each) => each.format || ""), [bytes(file.size), Boolean(keeper) && file.size !== keeper.size]]),
      line([part(taken), part((each) => (each.taken && each.camera) || "")]),
    ];
  }

  // A path breaks behind a slash before it breaks anywhere else.
  const path = (text) => text.split(/(?<=\/)/).flatMap((each) => [each, make("wbr")]);

  function badges(copy, rules) {
    if (!copy) return [make("span", { class: "badge" }, "kept"), make("span", { class: "fine" }, rules.size ? ` by rule: ${[...rules].join(", ")}` : "")];
    return [make("span", { class: "badge" }, copy.class), copy.transform ? make("span", { class: "badge change" }, copy.transform) : null,
      copy.action !== "observed" ? make("span", { class: "badge action" }, copy.action) : null];
  }

  function looker(copy, frame) {
    const look = make("button", { type: "button", "aria-expanded": "false" }, "Differences");
    look.addEventListener("click", (event) => {
      event.stopPropagation();
      const again = heat.looked === copy && !heat.hidden;
      hideHeat();
      if (!again) showHeat(copy, frame, look);
    });
    return look;
  }

  function fileCard(file, copy, group) {
    const rules = new Set(group.copies.map((each) => each.rule));
    const about = make("div", { class: "about" },
      make("div", { class: "badges" }, ...badges(copy, rules).filter((badge) => badge !== null)),
      make("div", { class: "name" }, file.name), make("div", { class: "folder" }, ...path(file.folder)),
      ...facts(file, copy && group.keeper).filter((part) => part !== null));
    const frame = picture(file, copy);
    const card = make("div", { class: copy ? "file copy" : "file keeper" }, frame, about);
    if (!copy) return card;
    const evidence = Object.entries(copy.similarities).map(([space, value]) => `${space} ${value.toFixed(3)}`);
    if (copy.verifier !== null) evidence.push(`verifier ${copy.verifier.toFixed(3)}`);
    if (evidence.length) about.append(make("div", { class: "fine" }, evidence.join(" · ")));
    if (copy.vetoes.length) about.append(make("div", { class: "fine" }, `veto: ${copy.vetoes.join(", ")}`));
    about.append(make("div", { class: "fine", title: copy.reason }, `${copy.id} · ${copy.decided.slice(0, 10)}${copy.action === "observed" ? " · observed" : ""}`));
    const bar = make("div", { class: "actions" });
    if (copy.heat && data.pictures.heat) bar.append(looker(copy, frame));
    about.append(bar);
    if (live) about.append(actions(copy, group, bar));
    return card;
  }

  function groupCard(group) {
    const files = make("div", { class: "files" }, fileCard(group.keeper, null, group));
    for (const copy of group.copies) files.append(fileCard(copy, copy, group));
    const copies = `${group.copies.length} cop${group.copies.length === 1 ? "y" : "ies"}`;
    const card = make("section", { class: "group", "aria-label": `${group.keeper.name} and ${copies}` },
      make("div", { class: "fine sum" }, `${copies} · ${bytes(saved(group))}`), files);
    group.card = card;
    return card;
  }

  // -- differences ----------------------------------------------------------------------------------------------------
  const PANELS = ["the copy", "the kept one laid over it", "where they differ"];
  function showHeat(copy, anchor, look = null) {
    const image = make("img", { alt: PANELS.join(", "), src: `${data.pictures.heat}/${copy.heat}` });
    image.addEventListener("error", () => heat.replaceChildren("no drawing"), { once: true });
    heat.replaceChildren(image, make("div", { class: "panels" }, ...PANELS.map((text) => make("span", {}, text))));
    heat.hidden = false;
    heat.looked = copy;
    heat.look = look;
    if (look) look.setAttribute("aria-expanded", "true");
    const place = () => {
      const box = anchor.getBoundingClientRect();
      const below = box.bottom + 8 + heat.offsetHeight < window.innerHeight;
      heat.style.top = `${Math.max(4, below ? box.bottom + 8 : box.top - heat.offsetHeight - 8)}px`;
      heat.style.left = `${Math.max(4, Math.min(box.left, window.innerWidth - heat.offsetWidth - 4))}px`;
    };
    image.addEventListener("load", place, { once: true });
    place();
  }
  function hideHeat() {
    heat.hidden = true;
    if (heat.look) heat.look.setAttribute("aria-expanded", "false");
    heat.look = null;
  }
  document.addEventListener("click", hideHeat); // a finger has nowhere to move away to

  // -- filter, order, draw as it comes into view ---------------------------------------------------------------------
  function choose() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (group) => {
      const copies = group.copies.filter((copy) => (!kind.value || copy.class === kind.value) && (!change.value || copy.transform === change.value));
      if (!copies.length) return false;
      if (!words.length) return true;
      if (group.text === undefined) {
        group.text = [group.keeper, ...group.copies].map((file) =>
          [file.folder, file.name, file.class || "", file.transform || "", file.action || "", file.id || "", file.taken || ""].join(" ")).join(" ").toLowerCase();
      }
      return words.every((word) => group.text.includes(word));
    };
    const rank = {
      new: (a, b) => a.place - b.place, old: (a, b) => b.place - a.place, size: (a, b) => saved(b) - saved(a),
      like: (a, b) => Math.min(...a.copies.map(best)) - Math.min(...b.copies.map(best)),
      path: (a, b) => (a.keeper.folder + a.keeper.name < b.keeper.folder + b.keeper.name ? -1 : 1),
    }[order.value];
    state.shown = state.groups.filter(fits).sort(rank);
    state.drawn = 0;
    state.here = -1;
    main.replaceChildren(...(state.shown.length ? [] : [make("p", { class: "none" }, state.groups.length ? "Nothing here fits what you look for." : "No duplicates.")]));
    hideHeat();
    draw();
    const copies = state.shown.reduce((sum, group) => sum + group.copies.length, 0);
    total.textContent = `${count(state.shown.length, "group")}, ${copies.toLocaleString("en")} cop${copies === 1 ? "y" : "ies"}, ${bytes(state.shown.reduce((sum, group) => sum + saved(group), 0))}`;
  }

  function draw(until = state.drawn + STEP) {
    const part = document.createDocumentFragment();
    while (state.drawn < Math.min(until, state.shown.length)) part.append(groupCard(state.shown[state.drawn++]));
    main.append(part);
    const left = state.shown.length - state.drawn;
    end.textContent = left > 0 ? `${count(left, "more group")} below` : data.facts.made || "";
  }
  new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting)) draw(); }, { rootMargin: "1500px" }).observe(end);

  function options(select, values) {
    while (select.options.length > 1) select.remove(1);
    for (const value of [...new Set(values)].filter(Boolean).sort()) select.append(make("option", { value }, value));
  }

  function begin(groups) {
    state.groups = groups;
    groups.forEach((group, place) => { group.place = place; });
    const copies = groups.flatMap((group) => group.copies);
    options(kind, copies.map((copy) => copy.class));
    options(change, copies.map((copy) => copy.transform));
    choose();
  }

  // -- keys -----------------------------------------------------------------------------------------------------------
  function step(by) {
    if (!state.shown.length) return;
    state.here = Math.max(0, Math.min(state.shown.length - 1, state.here + by));
    if (state.here >= state.drawn) draw(state.here + STEP);
    for (const card of main.querySelectorAll(".here")) card.classList.remove("here");
    const group = state.shown[state.here];
    group.card.classList.add("here");
    group.card.scrollIntoView({ block: "nearest" });
    state.copy = 0;
    choice(0);
  }
  function choice(by) {
    const group = state.shown[state.here];
    if (!group) return null;
    state.copy = Math.max(0, Math.min(group.copies.length - 1, state.copy + by));
    for (const card of main.querySelectorAll(".chosen")) card.classList.remove("chosen");
    const card = group.card.querySelectorAll(".copy")[state.copy];
    card.classList.add("chosen");
    return { group, copy: group.copies[state.copy], card };
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const chosen = () => choice(0);
    const does = {
      j: () => step(1), k: () => step(-1), ArrowDown: () => step(1), ArrowUp: () => step(-1),
      l: () => choice(1), h: () => choice(-1), ArrowRight: () => choice(1), ArrowLeft: () => choice(-1),
      "/": () => find.focus(), Escape: hideHeat,
      o: () => chosen() && open(chosen().copy),
      d: () => { const at = chosen(); if (at && at.copy.heat) { if (heat.hidden) showHeat(at.copy, at.card.querySelector(".picture")); else hideHeat(); } },
      a: () => press("accept"), n: () => press("not-duplicate"), r: () => press("restore"), c: () => press("keep"),
    }[event.key];
    if (does) { event.preventDefault(); does(); }
  });
  function press(name) {
    const at = choice(0);
    const button = at && at.card.querySelector(`button[data-do="${name}"]`);
    if (button && !button.disabled) button.click();
  }

  // -- actions, where a server is there to take them -------------------------------------------------------------------
  function actions(copy, group, bar) {
    const said = make("div", { class: "said", role: "status" });
    const held = copy.action === "quarantined";
    const possible = {
      accept: !held && !["series", "related"].includes(copy.class), "not-duplicate": !held && copy.class !== "identical-bytes", restore: held,
      keep: !held && !["series", "related"].includes(copy.class),
    };
    for (const [name, , text] of ACTIONS) {
      if (!data.facts.can.includes(name) || !possible[name]) continue;
      const button = make("button", { type: "button", "data-do": name }, text);
      button.addEventListener("click", () => act(name, copy, group, bar, said));
      bar.append(button);
    }
    return said;
  }
  async function act(name, copy, group, bar, said) {
    for (const button of bar.children) button.disabled = true;
    said.textContent = "…";
    try {
      const answer = await fetch("act", {
        method: "POST", credentials: "omit", headers: { "content-type": "application/json", "x-deepdupe": data.facts.guard },
        body: JSON.stringify({ do: name, verdict: copy.id }),
      });
      const found = await answer.json();
      said.textContent = found.said;
      if (answer.ok) {
        await refresh();
        if (name === "keep") for (const wait of [500, 1500, 4000]) setTimeout(refresh, wait); // until it is judged again
      }
      else for (const button of bar.children) button.disabled = false;
    } catch (problem) {
      said.textContent = `the server cannot be reached: ${problem.message}`;
    }
  }
  let last = Promise.resolve(); // one after another: an older answer must not come over a newer one
  function refresh() {
    last = last.then(renew).catch((problem) => { end.textContent = `the server cannot be reached: ${problem.message}`; });
    return last;
  }
  async function renew() {
    const answer = await fetch("groups.json", { credentials: "omit", headers: { "x-deepdupe": data.facts.guard } });
    if (!answer.ok) throw new Error(`it says ${answer.status}`);
    const here = state.here, top = window.scrollY, until = state.drawn;
    begin((await answer.json()).groups);
    draw(until);
    window.scrollTo(0, top);
    if (here >= 0) { state.here = Math.min(here, state.shown.length - 1) - 1; step(1); }
  }

  for (const control of [kind, change, order]) control.addEventListener("change", choose);
  let soon = 0;
  find.addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(choose, 120); });
  if (live) {
    refresh();
    window.addEventListener("focus", refresh); // who comes back to the page sees what has arrived meanwhile
  }
  else begin(state.groups);
})();
