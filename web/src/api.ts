// The one way to the server: JSON over fetch, the session's CSRF token on every write, errors as ApiError.

import type { Session } from "./types";

export interface ErrorDetail {
  line?: number;
  column?: number;
  field?: string;
  message?: string;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: number,
    message: string,
    readonly details: ErrorDetail[] = [],
  ) {
    super(message);
    this.name = "ApiError";
  }
}

let csrfToken = "";
let onSessionLost: () => void = () => {};

export function setSession(session: Session | null): void {
  csrfToken = session?.csrfToken ?? "";
}

/** Called when any request is answered with 401: the page then asks to log in. */
export function setSessionLostHandler(handler: () => void): void {
  onSessionLost = handler;
}

export type Query = Record<string, string | number | undefined>;

/** Builds a path: segments are encoded, empty query values left out. */
export function path(segments: string[], query?: Query): string {
  const head = "/" + segments.map(encodeURIComponent).join("/");
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== "") params.set(key, String(value));
  }
  const tail = params.toString();
  return tail ? `${head}?${tail}` : head;
}

const v1 = (segments: string[], query?: Query) => path(["v1", ...segments], query);

function statusText(status: number): string {
  if (status === 401) return "You are not logged in.";
  if (status === 403) return "You may not do this.";
  if (status === 404) return "This does not exist.";
  if (status === 429) return "Too many requests; try again in a moment.";
  return `The server answered with status ${status}.`;
}

/** Turns any answer that is not 2xx into an ApiError; a body that is not our error shape is not shown. */
export async function errorOf(response: Response): Promise<ApiError> {
  let body: unknown = null;
  try {
    body = await response.json();
  } catch {
    // Not JSON: a proxy's page, or nothing at all.
  }
  if (typeof body !== "object" || body === null) return new ApiError(response.status, 2, statusText(response.status));
  const { code, message, details } = body as { code?: unknown; message?: unknown; details?: unknown };
  return new ApiError(
    response.status,
    typeof code === "number" ? code : 2,
    typeof message === "string" && message ? message : statusText(response.status),
    Array.isArray(details) ? details.filter((d) => typeof d === "object" && d !== null) : [],
  );
}

export async function request<T>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (method !== "GET") {
    headers["content-type"] = "application/json";
    headers["x-vane-csrf"] = csrfToken;
  }
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: method === "GET" ? undefined : JSON.stringify(body ?? {}),
      credentials: "same-origin",
      cache: "no-store",
      signal,
    });
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new ApiError(0, 14, "The server does not answer.");
  }
  if (!response.ok) {
    const failure = await errorOf(response);
    if (failure.status === 401 && url !== "/login" && url !== "/session") onSessionLost();
    throw failure;
  }
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError(response.status, 13, "The server's answer is not JSON.");
  }
}

export const get = <T>(segments: string[], query?: Query, signal?: AbortSignal) =>
  request<T>("GET", v1(segments, query), undefined, signal);

export const post = <T>(segments: string[], body?: unknown) => request<T>("POST", v1(segments), body);

export const login = (token: string) => request<Session>("POST", "/login", { token });
export const currentSession = () => request<Session>("GET", "/session");
export const logout = () => request<unknown>("POST", "/logout", {});

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
