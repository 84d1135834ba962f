// uPlot with the page's colours, in both themes. A plot is a picture: each has a sentence as its name and a table
// beside it that says the same.

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Series {
  label: string;
  colour: string; // a custom property's name, "--cloud-aws"
  values: (number | null)[];
  format: (value: number) => string;
  scale?: string; // "y" (left) or "y2" (right)
  dash?: number[];
  points?: boolean;
}

export interface Marker {
  x: number;
  label: string;
  colour: string;
}

export interface PlotProps {
  label: string;
  x: number[];
  xTime?: boolean;
  xLog?: boolean;
  xTicks?: number[];
  xFormat: (value: number) => string;
  series: Series[];
  yLabel: string;
  y2Label?: string;
  markers?: Marker[];
  height?: number;
}

/** Resolves a custom property to a colour that a canvas understands. */
function colourOf(name: string, element: Element): string {
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.style.color = `var(${name})`;
  element.appendChild(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function drawMarkers(plot: uPlot, markers: Marker[], element: Element): void {
  const { ctx, bbox } = plot;
  const ratio = window.devicePixelRatio || 1;
  ctx.save();
  ctx.font = `600 ${11 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "top";
  markers.forEach((marker, i) => {
    const x = Math.round(plot.valToPos(marker.x, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.strokeStyle = ctx.fillStyle = colourOf(marker.colour, element);
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash(i ? [5 * ratio, 4 * ratio] : []);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const right = x + ctx.measureText(marker.label).width + 8 * ratio > bbox.left + bbox.width;
    ctx.textAlign = right ? "right" : "left";
    ctx.fillText(marker.label, x + (right ? -5 : 5) * ratio, bbox.top + (2 + i * 15) * ratio);
  });
  ctx.restore();
}

function optionsOf(props: PlotProps, element: HTMLElement, width: number, hover: (i: number | null) => void): uPlot.Options {
  const ink = colourOf("--muted", element);
  const line = colourOf("--line", element);
  const right = props.series.some((s) => s.scale === "y2");
  const formatOf = (scale: string) => props.series.find((s) => (s.scale ?? "y") === scale)?.format ?? String;
  const axis = { stroke: ink, ticks: { stroke: line, width: 1 }, font: "12px system-ui, sans-serif" };
  const fromZero: uPlot.Range.Function = (_u, _min, max) => [0, max > 0 ? max * 1.08 : 1];
  const first = props.x[0] ?? 0;
  const last = props.x[props.x.length - 1] ?? 1;
  return {
    width,
    height: props.height ?? 240,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
    scales: {
      x: { time: props.xTime ?? false, distr: props.xLog ? 3 : 1, log: 2, ...(props.xLog ? { range: [first / 1.15, last * 1.15] as [number, number] } : {}) },
      y: { range: fromZero },
      ...(right ? { y2: { range: fromZero } } : {}),
    },
    axes: [
      { ...axis, grid: { stroke: line, width: 1 }, ...(props.xTicks ? { splits: () => props.xTicks ?? [], filter: (_u: uPlot, s: number[]) => s } : {}),
        size: 34, space: props.xTime ? 90 : 50, values: (_u, v) => v.map(props.xFormat) },
      { ...axis, grid: { stroke: line, width: 1 }, size: 74, values: (_u, v) => v.map((y) => formatOf("y")(y)) },
      ...(right ? [{ ...axis, grid: { show: false }, side: 1, scale: "y2", size: 74, values: (_u: uPlot, v: number[]) => v.map((y) => formatOf("y2")(y)) } as uPlot.Axis] : []),
    ],
    series: [
      {},
      ...props.series.map((s) => ({
        label: s.label, scale: s.scale ?? "y", stroke: colourOf(s.colour, element), width: 2, dash: s.dash,
        points: { show: s.points ?? false, size: 7, fill: colourOf(s.colour, element) }, spanGaps: true,
      })),
    ],
    hooks: {
      setCursor: [(u) => hover(u.cursor.idx ?? null)],
      draw: [(u) => drawMarkers(u, props.markers ?? [], element)],
    },
  };
}

export function Plot(props: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const [theme, setTheme] = useState(0);
  const shape = JSON.stringify([props.series.map((s) => [s.label, s.scale]), props.markers, props.yLabel, props.xLog && props.x, theme]);

  useEffect(() => {
    const changed = () => setTheme((n) => n + 1);
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", changed);
    window.addEventListener("vane-theme", changed);
    return () => {
      system.removeEventListener("change", changed);
      window.removeEventListener("vane-theme", changed);
    };
  }, []);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const u = new uPlot(optionsOf(props, element, Math.max(240, element.clientWidth), setAt), [props.x, ...props.series.map((s) => s.values)], element);
    plot.current = u;
    const observer = new ResizeObserver(() => u.setSize({ width: Math.max(240, element.clientWidth), height: props.height ?? 240 }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      u.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData([props.x, ...props.series.map((s) => s.values)] as uPlot.AlignedData);
  }, [props.x, ...props.series.map((s) => s.values)]);

  const valueAt = (s: Series) => {
    const value = at === null ? undefined : s.values[at];
    return value === undefined || value === null ? "" : s.format(value);
  };
  return (
    <figure class="plot">
      <figcaption class="legend" aria-hidden="true">
        {props.series.map((s) => (
          <span class="key" key={s.label}>
            <Swatch colour={s.colour} dashed={Boolean(s.dash)} />{s.label} <b>{valueAt(s)}</b>
          </span>
        ))}
        <span class="muted at">{at !== null && props.x[at] !== undefined ? props.xFormat(props.x[at]) : ""}</span>
      </figcaption>
      <div class="axis-names" aria-hidden="true"><span>{props.yLabel}</span><span>{props.y2Label}</span></div>
      <div class="canvas" ref={box} role="img" aria-label={props.label} />
    </figure>
  );
}

function Swatch({ colour, dashed }: { colour: string; dashed: boolean }) {
  const line = useRef<SVGLineElement>(null);
  useEffect(() => line.current?.style.setProperty("stroke", `var(${colour})`), [colour]);
  return (
    <svg class="swatch" width="18" height="8" aria-hidden="true">
      <line ref={line} x1="0" y1="4" x2="18" y2="4" stroke-width="3" stroke-dasharray={dashed ? "5 3" : undefined} />
    </svg>
  );
}
