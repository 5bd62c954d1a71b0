// The chart of a task's durations: uPlot in place of the SVG that the server has drawn, so that it can be zoomed.
"use strict";
(() => {
  const HEIGHT = 190;
  const { zone } = document.documentElement.dataset;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const charts = new WeakMap();

  function draw() {
    for (const figure of document.querySelectorAll("[data-chart]")) {
      const place = figure.querySelector("[data-plot]"), before = charts.get(place);
      if (before?.source === figure.dataset.chart && before.dark === dark.matches) continue;
      before?.plot.destroy();
      const { at, ok, failed, figures } = JSON.parse(figure.dataset.chart);
      const plot = new uPlot(options(place.clientWidth, figures), [at, ok, failed], place);
      charts.set(place, { plot, source: figure.dataset.chart, dark: dark.matches });
      if (!before) new ResizeObserver(() => charts.get(place).plot.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
    }
  }

  // The tokens are light-dark(): a canvas needs what they come to.
  function ink(token) {
    const probe = document.createElement("i");
    probe.className = `ink-${token}`;
    document.body.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }

  function timed(fields) {
    const shown = { hourCycle: "h23", ...fields };
    let format;
    try {
      format = new Intl.DateTimeFormat("en-GB", { ...shown, timeZone: zone });
    } catch { // a zone that this browser does not know
      format = new Intl.DateTimeFormat("en-GB", { ...shown, timeZone: "UTC" });
    }
    return (moment) => format.format(new Date(moment * 1000));
  }

  const clock = { hour: "2-digit", minute: "2-digit" }, second = { ...clock, second: "2-digit" };
  const day = timed({ day: "numeric", month: "short" }), minute = timed(clock), exact = timed(second);
  const whole = timed({ weekday: "short", day: "numeric", month: "short", ...second });

  function tick(moment, step) {
    if (step < 60) return exact(moment);
    const time = minute(moment);
    return time === "00:00" ? day(moment) : time;
  }

  function took(seconds) {
    if (seconds == null) return "\u2013";
    const [size, unit] = seconds < 0.0995 ? [seconds * 1000, "ms"] : seconds < 100 ? [seconds, "s"]
      : seconds < 6000 ? [seconds / 60, "min"] : [seconds / 3600, "h"];
    return `${Number(size.toPrecision(2))} ${unit}`;
  }

  function options(width, figures) {
    const [accent, bad, line, faint] = ["accent", "bad", "line", "faint"].map(ink);
    const axis = { stroke: faint, font: "11px system-ui, sans-serif", grid: { stroke: line, width: 1 }, ticks: { show: false } };
    const dots = (label, fill) => ({
      label, stroke: fill, fill, paths: () => null, points: { show: true, size: 6, fill, width: 0 }, value: (_, value) => took(value),
    });
    return {
      width,
      height: HEIGHT,
      tzDate: zoned,
      padding: [10, 8, 0, 0],
      cursor: { y: false, drag: { x: true, y: false } },
      scales: { y: { range: (_, low, high) => [0, Math.max(high, ...figures.map(([, seconds]) => seconds)) * 1.12 || 1] } },
      axes: [
        { ...axis, size: 26, space: 80, values: (_, ticks, place, space, step) => ticks.map((each) => tick(each, step)) },
        { ...axis, size: 56, values: (_, ticks) => ticks.map((each) => each ? took(each) : "0") },
      ],
      series: [
        { label: "due", value: (_, moment) => moment == null ? "\u2013" : whole(moment) },
        dots("ok", accent),
        dots("failed", bad),
      ],
      hooks: { draw: [(plot) => lines(plot, figures, accent, faint)] },
    };
  }

  // uPlot reads the local fields of a date: these are the fields of the reader's zone.
  function zoned(moment) {
    try {
      return uPlot.tzDate(new Date(moment * 1000), zone);
    } catch {
      return new Date(moment * 1000);
    }
  }

  function lines({ ctx, bbox, valToPos }, figures, stroke, fill) {
    const dot = devicePixelRatio, right = bbox.left + bbox.width;
    ctx.save();
    Object.assign(ctx, { strokeStyle: stroke, fillStyle: fill, font: `${11 * dot}px system-ui, sans-serif`, textAlign: "right" });
    ctx.setLineDash([3 * dot, 4 * dot]);
    for (const [name, seconds] of figures) {
      const y = Math.round(valToPos(seconds, "y", true)) + 0.5;
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(right, y);
      ctx.stroke();
      ctx.fillText(name, right, y - 4 * dot);
    }
    ctx.restore();
  }

  draw();
  document.addEventListener("updated", draw);
  dark.addEventListener("change", draw);
})();
