// What a page of the console does beside being read: it keeps itself up to date, counts down, has keys and dialogs.
// Everything works without it. htmx morphs the fragments, so that focus, selections and open parts survive an update.
"use strict";
(() => {
  const html = document.documentElement;
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const live = $("#live[data-poll]");

  // -- the server's clock ---------------------------------------------------------------------------------------------

  let server = Number(html.dataset.now);
  let since = performance.now();
  const now = () => server + (performance.now() - since) / 1000;

  function setClock(response) {
    const moment = Number(response.headers.get("X-Time"));
    if (moment) [server, since] = [moment, performance.now()];
  }

  const clock = (() => {
    const options = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
    try {
      return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: html.dataset.zone });
    } catch { // a zone that this browser does not know
      return { format: (date) => new Date(date.getTime() + html.dataset.offset * 1000).toISOString().slice(11, 19) };
    }
  })();

  // The steps are those of times._rough; longer distances come from the server with the next update.
  function distance(seconds) {
    const size = Math.abs(seconds);
    if (size < 0.5) return "now";
    if (size >= 6000) return null;
    const words = size < 100 ? `${Math.round(size)} s` : `${Math.round(size / 60)} min`;
    return seconds > 0 ? `in ${words}` : `${words} ago`;
  }

  function count() {
    const moment = now();
    for (const each of $$("time[data-relative]")) {
      const words = distance(Date.parse(each.dateTime) / 1000 - moment);
      if (words !== null && each.textContent !== words) each.textContent = words;
    }
    for (const each of $$("[data-clock]")) each.textContent = clock.format(new Date(moment * 1000));
  }
  setInterval(count, 1000);

  // -- updates --------------------------------------------------------------------------------------------------------

  const FASTEST = 2000, SLOWEST = 10000;
  let wait = FASTEST, timer = 0, tag = "", address = location.href, answered = now(), asking = null;
  const updates = $("#updates");

  function fragment(url, name) {
    const asked = new URL(url, location.href);
    asked.searchParams.set("fragment", name);
    asked.hash = "";
    return asked;
  }

  async function update() {
    asking?.abort();
    const stop = asking = new AbortController();
    const late = setTimeout(() => stop.abort("late"), 15000);
    if (address !== location.href) [tag, address] = ["", location.href];
    try {
      const headers = tag ? { "If-None-Match": tag } : {};
      const response = await fetch(fragment(address, "live"), { headers, signal: stop.signal, cache: "no-store" });
      const text = response.ok ? await response.text() : "";
      if (stop !== asking) return;
      if (!response.ok && response.status !== 304) return lost(`The server answers ${response.status}.`);
      setClock(response);
      found();
      if (response.ok) {
        tag = response.headers.get("ETag") || "";
        await htmx.swap({ text, target: live, swap: "innerMorph", sourceElement: live });
        for (const each of $$("form[data-filter] select")) { // a choice of the reader is not undone by an attribute
          each.value = ($("option[selected]", each) || each.options[0]).value;
        }
        document.dispatchEvent(new Event("updated"));
      }
      count();
      wait = response.ok ? FASTEST : Math.min(SLOWEST, wait * 1.4);
    } catch {
      if (stop === asking || stop.signal.reason === "late") lost("No answer from the server.");
    } finally {
      clearTimeout(late);
      if (stop === asking) schedule();
    }
  }

  function schedule(delay = wait) {
    clearTimeout(timer);
    if (live && updates.checked && !document.hidden) timer = setTimeout(update, delay);
  }

  function found() {
    answered = now();
    html.classList.remove("lost");
    $("[data-lost]").hidden = true;
  }

  function lost(words) {
    wait = Math.min(SLOWEST, wait * 1.4);
    html.classList.add("lost");
    $("[data-lost-words]").textContent = words;
    $("[data-lost-since]").textContent = clock.format(new Date(answered * 1000));
    $("[data-lost]").hidden = false;
  }

  if (live) {
    updates.checked = localStorage.getItem("tgs-updates") !== "off";
    $("[data-live]").hidden = false;
    const shown = () => { $("[data-halted]").hidden = updates.checked; };
    shown();
    updates.addEventListener("change", () => {
      localStorage.setItem("tgs-updates", updates.checked ? "on" : "off");
      shown();
      schedule(0);
    });
    document.addEventListener("visibilitychange", () => { wait = FASTEST; schedule(0); });
    addEventListener("popstate", update);
    schedule();
  }

  // A link or filter that leads to the same page with another query: only the fragment is asked for.
  function go(url, keep = true) {
    if (url.href !== location.href) history[keep ? "pushState" : "replaceState"](null, "", url);
    update();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("#live[data-poll] a[href]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const url = new URL(link.href);
    if (link.dataset.dialog !== undefined || url.origin !== location.origin || url.pathname !== location.pathname || url.hash) return;
    event.preventDefault();
    go(url);
  });

  function filter(form) {
    const url = new URL(location.href);
    url.search = "";
    for (const [name, value] of new FormData(form)) if (value) url.searchParams.append(name, value);
    go(url, false);
  }

  let typed = 0;
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-filter]");
    if (!form || !live) return;
    clearTimeout(typed);
    typed = setTimeout(() => filter(form), event.target.type === "search" ? 250 : 0);
  });
  document.addEventListener("submit", (event) => {
    if (!live || !event.target.matches("form[data-filter]")) return;
    event.preventDefault();
    clearTimeout(typed);
    filter(event.target);
  });

  // -- the bar --------------------------------------------------------------------------------------------------------

  const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const choice = $("[data-browser-zone]");
  if (choice && browserZone) {
    $("input", choice).value = `browser:${browserZone}`;
    $("span", choice).textContent = browserZone;
    choice.hidden = false;
  }
  document.addEventListener("change", (event) => event.target.closest("form[data-submit-on-change]")?.requestSubmit());

  const menus = () => $$("details.menu[open]");
  document.addEventListener("click", (event) => {
    for (const each of menus()) if (!each.contains(event.target)) each.open = false;
  });

  const shown = new URL(location.href);
  if (shown.searchParams.has("notice")) { // it is shown once
    shown.searchParams.delete("notice");
    history.replaceState(null, "", shown);
  }

  // -- dialogs --------------------------------------------------------------------------------------------------------

  const dialog = $("#dialog");

  async function open(url) {
    let response;
    try {
      response = await fetch(fragment(url, "confirm"), { cache: "no-store" });
      if (!response.ok && response.status !== 422) throw new Error(response.status); // 422: the form says what is wrong
    } catch {
      location.href = url;
      return;
    }
    dialog.innerHTML = await response.text();
    for (const each of $$("[action], [href]", dialog)) { // they are relative to the page that was asked for
      const name = each.hasAttribute("action") ? "action" : "href";
      each.setAttribute(name, new URL(each.getAttribute(name), url).href);
    }
    dialog.setAttribute("aria-label", $("h1", dialog)?.textContent || "");
    if (!dialog.open) dialog.showModal();
    ($("input:not([type=hidden]), select, textarea", dialog) || $("button", dialog))?.focus();
  }

  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const opener = event.target.closest("a[data-dialog]");
    if (opener) {
      event.preventDefault();
      open(opener.href);
    } else if (event.target.closest("dialog [data-close]") || event.target.matches("dialog")) {
      event.preventDefault();
      event.target.closest("dialog").close();
    }
  });
  dialog?.addEventListener("submit", (event) => {
    const form = event.target;
    if ((event.submitter?.formMethod || form.method) !== "get") return; // a look ahead: what the action would do with these fields
    event.preventDefault();
    const url = new URL(form.action);
    url.search = new URLSearchParams(new FormData(form, event.submitter));
    open(url.href);
  });

  // Filling in the field of a choice is choosing it.
  document.addEventListener("input", (event) => {
    const radio = event.target.closest(".choices label")?.querySelector("input[type=radio]");
    if (radio) radio.checked = true;
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard?.writeText($("code", button.parentElement).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });

  // -- keys -----------------------------------------------------------------------------------------------------------

  function step(by) {
    const rows = $$("main table.list tbody tr, main .rows li").map((row) => $("a[href]", row)).filter((link) => link?.checkVisibility());
    const place = rows.findIndex((link) => link.closest("tr, li").contains(document.activeElement));
    rows[Math.max(0, Math.min(rows.length - 1, place + by))]?.focus();
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (event.key === "Escape") {
      for (const each of menus()) { each.open = false; $("summary", each).focus(); }
      if (typing?.type === "search" && !typing.value) typing.blur();
      return;
    }
    if (event.key === " " && event.target.matches?.("a[role=button]")) {
      event.preventDefault();
      event.target.click();
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    const search = $("[data-search]");
    if (event.key === "/") search ? search.focus() : location.assign(`${$("a.site").href}#search`);
    else if (event.key === "?") $("#keys").showModal();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else return;
    event.preventDefault();
  });
  document.addEventListener("click", (event) => { if (event.target.closest("[data-help]")) $("#keys").showModal(); });
  if (location.hash === "#search") $("[data-search]")?.focus();
})();
