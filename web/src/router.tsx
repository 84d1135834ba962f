// Addresses live in the fragment ("/#/decisions/ID"), so that the server has one page to serve. A plain path
// ("/decisions/ID", as vanectl prints it) is moved there on arrival.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

export interface Route {
  path: string[]; // decoded segments
  query: URLSearchParams;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export function parseRoute(hash: string): Route {
  const text = hash.startsWith("#/") ? hash.slice(2) : "";
  const cut = text.indexOf("?");
  const path = cut < 0 ? text : text.slice(0, cut);
  return {
    path: path.split("/").filter((s) => s !== "").map(decode),
    query: new URLSearchParams(cut < 0 ? "" : text.slice(cut + 1)),
  };
}

export function href(segments: string[], query: Record<string, string> = {}): string {
  const kept = Object.entries(query).filter(([, value]) => value !== "");
  const tail = new URLSearchParams(kept).toString();
  return `#/${segments.map(encodeURIComponent).join("/")}${tail ? `?${tail}` : ""}`;
}

export function navigate(segments: string[], query: Record<string, string> = {}): void {
  location.hash = href(segments, query);
}

/** Changes the query of the current page without a new entry in the history. */
export function replaceQuery(route: Route, query: Record<string, string>): void {
  history.replaceState(null, "", `/${href(route.path, query)}`);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

/** "/login#TOKEN" gives the token, and takes it out of the address and the history. */
export function takeLoginToken(): string | null {
  const token = location.pathname === "/login" && !location.hash.startsWith("#/") ? location.hash.slice(1) : "";
  if (location.pathname === "/login") history.replaceState(null, "", "/");
  else if (location.pathname !== "/") history.replaceState(null, "", `/#${location.pathname}${location.search}`);
  return token || null;
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const changed = () => setRoute(parseRoute(location.hash));
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return route;
}

type LinkProps = { to: string[]; query?: Record<string, string>; children: ComponentChildren } & Omit<
  JSX.AnchorHTMLAttributes<HTMLAnchorElement>,
  "href"
>;

export function Link({ to, query, children, ...rest }: LinkProps) {
  return (
    <a {...rest} href={href(to, query)}>
      {children}
    </a>
  );
}
