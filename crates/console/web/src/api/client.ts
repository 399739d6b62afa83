import createClient, { type Middleware } from "openapi-fetch";
import { parseChallenge } from "@/auth/challenge";
import { currentToken, interrupt, refreshIfExpiring } from "@/auth/session";
import type { components, paths } from "./schema";

export type Problem = components["schemas"]["Problem"];

/** A request that the platform refused. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly retryAfter?: number,
    /** What is wrong with each field, or each line of a file. */
    readonly details: readonly string[] = [],
  ) {
    super(detail);
  }
}

/** The error of a response; a proxy's may have another body than the platform's. */
export async function errorOf(response: Response): Promise<ApiError> {
  const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
  const retryAfter = Number(response.headers.get("retry-after")) || undefined;
  const detail = problem.errors?.[0] ? `${problem.detail} ${problem.errors[0].detail}` : problem.detail;
  const details = problem.errors?.map((error) => error.detail);
  return new ApiError(response.status, problem.code ?? "unknown", detail ?? response.statusText, retryAfter, details);
}

/** Headers of every request. */
export function authorization(): Record<string, string> {
  const token = currentToken();
  return token ? { authorization: `Bearer ${token}` } : {};
}

/** Notices that the token is not valid any more. A request of an earlier token says nothing about the current one. */
export function noticeRefusedToken(response: Response, usedToken: string | undefined) {
  if (response.status !== 401 || usedToken !== currentToken()) return;
  const { reason, claims } = parseChallenge(response.headers.get("www-authenticate") ?? "");
  interrupt(reason, claims);
}

const authenticate: Middleware = {
  async onRequest({ request }) {
    await refreshIfExpiring();
    for (const [name, value] of Object.entries(authorization())) request.headers.set(name, value);
  },
  async onResponse({ request, response }) {
    if (response.ok) return;
    noticeRefusedToken(response, request.headers.get("authorization")?.slice("Bearer ".length));
    throw await errorOf(response);
  },
};

/** The platform's API, typed by its OpenAPI document. A refused request rejects with an `ApiError`. */
export const api = createClient<paths>({ baseUrl: location.origin });
api.use(authenticate);

/** The body of a response that succeeded. */
export async function body<T>(request: Promise<{ data?: T }>): Promise<T> {
  return (await request).data as T;
}

/** A request whose body or response is not JSON. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  await refreshIfExpiring();
  const token = currentToken();
  const headers = { ...authorization(), ...(init.headers as Record<string, string> | undefined) };
  const response = await fetch(path, { ...init, headers });
  if (response.ok) return response;
  noticeRefusedToken(response, token);
  throw await errorOf(response);
}
