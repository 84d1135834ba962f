import assert from "node:assert/strict";
import test from "node:test";
import {
  ago, bytes, count, duration, fieldToUs, memory, money, num, perMillion, plural, share, signed, significant, time, usToField,
} from "../src/format";
import { href, parseRoute } from "../src/router";
import { barsOf } from "../src/pages/waterfall";

test("64-bit integers come as strings", () => {
  assert.equal(num("123"), 123);
  assert.equal(num(5), 5);
  assert.ok(Number.isNaN(num("")));
  assert.ok(Number.isNaN(num("NaN")));
  assert.ok(Number.isNaN(num(undefined)));
});

test("money has as many digits as carry meaning", () => {
  assert.equal(money(0), "$0");
  assert.equal(money(0.41), "$0.41");
  assert.equal(money(0.4), "$0.40");
  assert.equal(money(12.345), "$12.35");
  assert.equal(money(123456.7), "$123,457");
  assert.equal(money(0.0123), "$0.012");
  assert.equal(money(4.13e-7), "$0.00000041");
  assert.equal(money(-2.5), "−$2.50");
  assert.equal(money(NaN), "–");
  assert.equal(perMillion(0.41), "$0.41 per million calls");
});

test("durations change their unit", () => {
  assert.deepEqual([0.123, 4.25, 92.4, 412, 1834, 90_000, 7_200_000].map(duration), ["0.12 ms", "4.3 ms", "92 ms", "412 ms", "1.83 s", "1.5 min", "2 h"]);
  assert.equal(duration(Infinity), "–");
});

test("shares, counts, sizes", () => {
  assert.deepEqual([0, 0.00004, 0.0004, 0.021, 0.5, 0.99999, 1].map(share), ["0%", "<0.01%", "0.04%", "2.1%", "50%", ">99.99%", "100%"]);
  assert.deepEqual(["0", "1234", 1284003, "18446744073709551615"].map(count), ["0", "1,234", "1.28 million", "18,400,000,000 billion"]);
  assert.deepEqual([0, 1023, 73400320, "1073741824"].map(bytes), ["0 bytes", "1023 bytes", "70 MiB", "1 GiB"]);
  assert.deepEqual([0.25, -0.0412, 0].map((x) => signed(x)), ["+0.25", "−0.0412", "0"]);
  assert.equal(significant(1234567), "1,230,000");
  assert.equal(memory(1024), "1,024 MB");
  assert.equal(plural(1, "gap"), "1 gap");
  assert.equal(plural(2, "gap"), "2 gaps");
});

test("times are UTC, and relative to the server's clock", () => {
  assert.equal(time("1795000000000000"), "2026-11-18 11:06:40");
  assert.equal(time(0), "never");
  assert.equal(time("9223372036854775807"), "never");
  const now = 1_795_000_000_000_000;
  assert.deepEqual([1, 40, 600, 8000, 900_000].map((s) => ago(now - s * 1e6, now)), ["just now", "40 s ago", "10 min ago", "2 h ago", "10 days ago"]);
  assert.equal(ago("0", now), "never");
  assert.equal(ago(now + 5e6, now), "just now");
});

test("date-time fields and microseconds convert both ways", () => {
  assert.equal(fieldToUs("2026-11-18T11:06:40"), "1795000000000000");
  assert.equal(fieldToUs("2026-11-18T11:06"), "1794999960000000");
  assert.equal(fieldToUs(""), null);
  assert.equal(fieldToUs("yesterday"), null);
  assert.equal(usToField("1795000000000000"), "2026-11-18T11:06:40");
});

test("addresses keep every name intact", () => {
  for (const name of ["checkout", "a/b?c#d", "<img onerror>", "100%", "ü"]) {
    const route = parseRoute(href(["functions", name], { filter: name }));
    assert.deepEqual(route.path, ["functions", name]);
    assert.equal(route.query.get("filter"), name);
  }
  assert.deepEqual(parseRoute("#/functions/%zz").path, ["functions", "%zz"]);
  assert.deepEqual(parseRoute("#TOKEN").path, []);
});

test("the waterfall's bars follow each other and end at the margin", () => {
  const parts = [{ group: "latency", value: -0.1, detail: "" }, { group: "price", value: 0.5, detail: "" }, { group: "cold-start", value: 0.05, detail: "" }];
  const bars = barsOf(parts, 0.45);
  assert.deepEqual(bars.map((b) => b.name), ["price", "latency", "cold start", "margin"]);
  bars.slice(1, -1).forEach((b, i) => assert.equal(b.from, bars[i].to));
  assert.ok(Math.abs(bars[2].to - bars[3].to) < 1e-12);
});
