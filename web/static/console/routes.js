// Routes as `Records` shows them. A camera's password is kept apart from the address and never shown.

import { encodePath } from './sources.js';

/** Scheme, user and password as they stand there, and the rest. */
function parts(url) {
  const [, scheme = '', login = '', rest = url] = /^([a-z]+:\/\/)(?:([^/?#]*)@)?(.*)$/i.exec(url) ?? [];
  const colon = login.indexOf(':');
  return { scheme, rest, user: colon < 0 ? login : login.slice(0, colon), password: colon < 0 ? '' : login.slice(colon + 1) };
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

/** The address with user and password; those of `old` where none are written. */
function composed({ url, user, password }, old) {
  const { scheme, rest, ...written } = parts(url);
  const before = old ? parts(old.url) : { user: '', password: '' };
  const name = user === decoded(before.user) ? before.user : encodeURIComponent(user);
  const secret = password ? encodeURIComponent(password) : written.password || before.password;
  if (!user) return written.user ? url : `${scheme}${rest}`;
  return `${scheme}${name}${secret ? `:${secret}` : ''}@${rest}`;
}

/** @type {import('./records.js').Kind} */
export const routes = {
  path: 'routes',
  title: 'Routes',
  one: 'route',
  key: 'pattern',
  about: 'Where the hub gets a path from when somebody watches it. A path that ends in "/" stands for everything below it.',
  every: 5000,
  columns: [
    ['Path', ({ pattern }) => pattern],
    ['Camera or file', ({ url }) => {
      const { scheme, rest, user } = parts(url);
      return `${scheme}${user ? `${decoded(user)}@` : ''}${rest}`;
    }],
    ['Connected', ({ keepalive }) => (keepalive ? 'always' : 'when watched')],
    ['State', ({ status: { state, error } }) => (error ? `${state}: ${error}` : state)],
  ],
  fields: [
    { name: 'pattern', label: 'Path', placeholder: '/room/door', required: true },
    { name: 'url', label: 'Address of a camera or file', placeholder: 'rtsp://192.0.2.7/main', required: true },
    { name: 'user', label: 'User of the camera' },
    { name: 'password', label: 'Password of the camera', type: 'password', kept: 'as it is' },
    { name: 'keepalive', label: 'Always connected', type: 'checkbox' },
  ],
  toForm: ({ pattern, url, keepalive }) => {
    const { scheme, rest, user } = parts(url);
    return { pattern, url: `${scheme}${rest}`, user: decoded(user), keepalive };
  },
  toCall: (values, old) => ['routes', { pattern: values.pattern, url: composed(values, old), keepalive: values.keepalive }],
  address: (pattern) => `routes${encodePath(pattern)}`,
};
