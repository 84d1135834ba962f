// Numbers as people read them: a unit on each, no more digits than carry meaning.

import type { Int64 } from "./types";

/** 64-bit integers arrive as strings, not-a-number as "NaN"; what cannot be read is NaN. */
export function num(value: Int64 | null | undefined): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && value.trim() !== "" ? Number(value) : NaN;
}

const UNKNOWN = "–";
const grouped = (value: number, digits: number) =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** At most `digits` significant digits, never in exponent form, grouped by thousands. */
export function significant(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return UNKNOWN;
  return value.toLocaleString("en-US", { maximumSignificantDigits: digits });
}

export function count(value: Int64): string {
  const n = num(value);
  if (!Number.isFinite(n)) return UNKNOWN;
  if (Math.abs(n) >= 1e9) return `${significant(n / 1e9)} billion`;
  if (Math.abs(n) >= 1e6) return `${significant(n / 1e6)} million`;
  return grouped(n, 0);
}

export function money(usd: number): string {
  if (!Number.isFinite(usd)) return UNKNOWN;
  const sign = usd < 0 ? "−" : "";
  const a = Math.abs(usd);
  if (a === 0) return "$0";
  if (a >= 1000) return `${sign}$${grouped(a, 0)}`;
  if (a >= 0.1) return `${sign}$${grouped(a, 2)}`;
  if (a < 1e-12) return `${sign}$0`;
  return `${sign}$${a.toLocaleString("en-US", { maximumSignificantDigits: 2, maximumFractionDigits: 20 })}`;
}

export const perMillion = (usd: number) => `${money(usd)} per million calls`;

export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return UNKNOWN;
  const a = Math.abs(ms);
  if (a >= 3_600_000) return `${significant(ms / 3_600_000)} h`;
  if (a >= 60_000) return `${significant(ms / 60_000)} min`;
  if (a >= 1000) return `${significant(ms / 1000)} s`;
  if (a >= 10) return `${grouped(ms, 0)} ms`;
  return `${significant(ms, 2)} ms`;
}

export function share(fraction: number): string {
  if (!Number.isFinite(fraction)) return UNKNOWN;
  const p = fraction * 100;
  const a = Math.abs(p);
  if (a === 0) return "0%";
  if (a < 0.01) return "<0.01%";
  if (a > 99.99 && a < 100) return ">99.99%";
  return `${p.toLocaleString("en-US", { maximumSignificantDigits: a >= 10 ? 3 : 2 })}%`;
}

export function bytes(value: Int64): string {
  let n = num(value);
  if (!Number.isFinite(n)) return UNKNOWN;
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (Math.abs(n) >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? n : significant(n)} ${units[unit]}`;
}

export function signed(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return UNKNOWN;
  if (value === 0) return "0";
  return `${value > 0 ? "+" : "−"}${significant(Math.abs(value), digits)}`;
}

export const memory = (mb: number) => (mb > 0 ? `${grouped(mb, 0)} MB` : UNKNOWN);

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Server time, in UTC, to the second: "2026-11-24 14:03:10". Zero is never. */
export function time(us: Int64): string {
  const n = num(us);
  if (!Number.isFinite(n) || n <= 0 || n > 8.64e18) return "never";
  return new Date(n / 1000).toISOString().slice(0, 19).replace("T", " ");
}

export const clock = (us: Int64) => (time(us) === "never" ? "never" : time(us).slice(11));

/** How long before `nowUs`; server time on both sides, for the sandbox's clock runs fast. */
export function ago(us: Int64, nowUs: Int64): string {
  const then = num(us);
  if (!Number.isFinite(then) || then <= 0) return "never";
  const s = Math.max(0, (num(nowUs) - then) / 1e6);
  if (!Number.isFinite(s)) return time(us);
  if (s < 2) return "just now";
  if (s < 120) return `${Math.round(s)} s ago`;
  if (s < 7200) return `${Math.round(s / 60)} min ago`;
  if (s < 172_800) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86_400)} days ago`;
}

const CLOUD_NAMES: Record<string, string> = { aws: "AWS", azure: "Azure", gcp: "GCP", http: "HTTP" };
export const cloudName = (cloud: string) => CLOUD_NAMES[cloud] ?? cloud;

/** "waiting-for-x" and "breaker_open" as words. */
export const words = (text: string) => text.replace(/[-_]/g, " ");

/** Microseconds of a date-time field's value, read as UTC; null when it is empty or wrong. */
export function fieldToUs(value: string): string | null {
  if (!/^\d{4,6}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(value)) return null;
  const ms = Date.parse(`${value.length === 16 ? `${value}:00` : value}Z`);
  return Number.isFinite(ms) ? `${ms}000` : null;
}

export const usToField = (us: Int64) => (time(us) === "never" ? "" : time(us).replace(" ", "T"));
