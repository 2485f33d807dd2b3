// The hub's REST API as the page needs it: JSON, a deadline, and the token if the hub asks for one.
//
// Tokens live in sessionStorage: they end with the tab. An access token that has expired is renewed once, by the refresh token.

const BASE = new URL('api/v1/', document.baseURI);
const DEADLINE_MS = 8000;
const STORE = 'ipchub.tokens';

/** The hub answered, but not with what was asked for. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let refreshing = null;

/** GET; throws ApiError with the status, or TypeError/DOMException when the hub does not answer. */
export function get(path) { return call('GET', path); }

/** As `get`, with any method and a body for JSON. `null` where the hub says no more than that it is done. */
export async function call(method, path, body) {
  const json = body && { 'Content-Type': 'application/json' };
  const once = () => request(new URL(path, BASE), { method, headers: { ...authorization(), ...json }, body: body && JSON.stringify(body) });
  try {
    return await once();
  } catch (error) {
    if (error.status !== 401 || !(await refresh())) throw error;
    return once();
  }
}

export async function login(username, password) {
  const body = JSON.stringify({ username, password });
  save(await request(new URL('login', BASE), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body }));
}

/** Gets a new pair of tokens; false when the login is over. One request, however many ask. */
export function refresh() {
  refreshing ??= renew().finally(() => { refreshing = null; });
  return refreshing;
}

export function logout() { sessionStorage.removeItem(STORE); }

export function loggedIn() { return Boolean(tokens().access_token); }

/** For media, which takes no headers: the same URL with `?token=`, if there is one. @param {URL} url */
export function withToken(url) {
  const { access_token: token } = tokens();
  if (token) url.searchParams.set('token', token);
  return url;
}

/** The token as a header, which no log and no address line shows. */
export function authorization() {
  const { access_token: token } = tokens();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function renew() {
  const { refresh_token: token } = tokens();
  if (!token) return false;
  const url = new URL('refreshtoken', BASE);
  url.searchParams.set('token', token);
  try {
    save(await request(url));
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    logout();
    return false;
  }
}

async function request(url, options = {}) {
  const response = await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(DEADLINE_MS), ...options });
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  throw new ApiError(response.status, body?.error ?? `The hub answered with status ${response.status}.`);
}

function tokens() {
  try { return JSON.parse(sessionStorage.getItem(STORE)) ?? {}; } catch { return {}; }
}

function save({ access_token, refresh_token }) {
  sessionStorage.setItem(STORE, JSON.stringify({ access_token, refresh_token }));
}
