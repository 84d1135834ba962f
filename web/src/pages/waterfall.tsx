// The margin, taken apart: one bar a group, each beginning where the one before it ended.

import { useEffect, useRef, useState } from "preact/hooks";
import { signed, significant, words } from "../format";
import type { Attribution } from "../types";

const ROW = 30;
const BAR = 18;
const LABEL = 150; // pixels for names on the left
const VALUE = 74; // and for figures on the right

export interface Bar {
  name: string;
  value: number;
  from: number;
  to: number;
  total: boolean;
}

/** Bars by falling size; the last one is the whole margin. */
export function barsOf(parts: Attribution[], margin: number): Bar[] {
  let at = 0;
  const bars = [...parts]
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
    .map((p) => {
      const from = at;
      at += p.value;
      return { name: words(p.group), value: p.value, from, to: at, total: false };
    });
  return [...bars, { name: "margin", value: margin, from: 0, to: margin, total: true }];
}

export function Waterfall({ parts, margin }: { parts: Attribution[]; margin: number }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(640);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(Math.max(320, element.clientWidth)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const bars = barsOf(parts, margin);
  const low = Math.min(0, ...bars.map((b) => Math.min(b.from, b.to)));
  const high = Math.max(0, ...bars.map((b) => Math.max(b.from, b.to)));
  const span = high - low || 1;
  const xOf = (v: number) => LABEL + ((v - low) / span) * (width - LABEL - VALUE);
  const height = bars.length * ROW + 8;
  const told = bars.map((b) => `${b.name} ${signed(b.value)}`).join(", ");
  return (
    <div class="waterfall" ref={box}>
      <svg role="img" aria-label={`Waterfall of the margin: ${told}. The table below has the same figures.`}
        width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
        <line class="zero" x1={xOf(0)} x2={xOf(0)} y1={0} y2={height} />
        {bars.map((b, i) => {
          const y = i * ROW + 4;
          const left = xOf(Math.min(b.from, b.to));
          const right = xOf(Math.max(b.from, b.to));
          const next = bars[i + 1];
          return (
            <g key={b.name} class={b.total ? "total" : b.value >= 0 ? "for" : "against"}>
              <text class="name" x={LABEL - 12} y={y + BAR / 2} text-anchor="end">{b.name}</text>
              <rect x={left} y={y} width={Math.max(1.5, right - left)} height={BAR} rx={2} />
              {next && <line class="step" x1={xOf(next.total ? margin : b.to)} x2={xOf(next.total ? margin : b.to)} y1={y + BAR} y2={y + ROW} />}
              <text class="value" x={right + 8} y={y + BAR / 2}>{b.total ? significant(b.value) : signed(b.value)}</text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}
