import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { ApiError, errorOf, get, login, path, post, request, setSession, setSessionLostHandler } from "../src/api";

interface Sent { url: string; init: RequestInit }
let sent: Sent[] = [];
let lost = 0;

function answer(status: number, body: string, type = "application/json"): void {
  globalThis.fetch = (async (url: string, init: RequestInit) => {
    sent.push({ url, init });
    return new Response(body, { status, headers: { "content-type": type } });
  }) as typeof fetch;
}

beforeEach(() => {
  sent = [];
  lost = 0;
  setSession(null);
  setSessionLostHandler(() => { lost += 1; });
});

test("paths are encoded by segment, empty values left out", () => {
  assert.equal(path(["v1", "functions", "a/b <c>"], { filter: "", pageSize: 50, pageToken: undefined }), "/v1/functions/a%2Fb%20%3Cc%3E?pageSize=50");
});

test("writes carry the CSRF token, reads do not", async () => {
  setSession({ csrfToken: "secret", name: "ada", role: "admin", tenant: "t" });
  answer(200, "{}");
  await post(["rounds"], {});
  await get(["rounds"]);
  assert.equal((sent[0].init.headers as Record<string, string>)["x-vane-csrf"], "secret");
  assert.equal(sent[0].init.body, "{}");
  assert.equal((sent[1].init.headers as Record<string, string>)["x-vane-csrf"], undefined);
  assert.equal(sent[1].init.body, undefined);
});

test("an error keeps its code, message and places", async () => {
  answer(400, JSON.stringify({ code: 3, message: "the policy has errors", details: [{ line: 4, column: 2, field: "limits", message: "unknown key" }, 7, null] }));
  await assert.rejects(post(["policies"], {}), (e: ApiError) => {
    assert.equal(e.status, 400);
    assert.equal(e.code, 3);
    assert.equal(e.message, "the policy has errors");
    assert.deepEqual(e.details, [{ line: 4, column: 2, field: "limits", message: "unknown key" }]);
    return true;
  });
});

test("a proxy's page is not shown as a message", async () => {
  const e = await errorOf(new Response("<h1>Bad gateway</h1>", { status: 502 }));
  assert.equal(e.message, "The server answered with status 502.");
  const odd = await errorOf(new Response('{"message": {"a": 1}, "details": "x"}', { status: 404 }));
  assert.equal(odd.message, "This does not exist.");
  assert.deepEqual(odd.details, []);
});

test("401 ends the session, except where one logs in", async () => {
  answer(401, JSON.stringify({ code: 16, message: "not logged in", details: [] }));
  await assert.rejects(get(["status"]), ApiError);
  assert.equal(lost, 1);
  await assert.rejects(login("x"), ApiError);
  assert.equal(lost, 1);
});

test("no answer and an answer that is not JSON are said plainly", async () => {
  globalThis.fetch = (async () => { throw new TypeError("fetch failed"); }) as typeof fetch;
  await assert.rejects(get(["status"]), (e: ApiError) => e.code === 14 && e.message === "The server does not answer.");
  answer(200, "<html>");
  await assert.rejects(request("GET", "/x"), (e: ApiError) => e.code === 13);
});
