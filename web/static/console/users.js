// Users as `Records` shows them. Their passwords never leave the hub.

/** @type {import('./records.js').Kind} */
export const users = {
  path: 'users',
  title: 'Users',
  one: 'user',
  key: 'name',
  about: 'Masks are paths, separated by ";": /hr/* is everything below /hr, + one segment. They count where the hub asks who watches '
    + 'and pushes (auth = true).',
  every: 0,
  columns: [
    ['Name', ({ name }) => name],
    ['Administrator', ({ admin }) => (admin ? 'yes' : 'no')],
    ['May watch', ({ pull }) => pull || '–'],
    ['May push', ({ push }) => push || '–'],
  ],
  fields: [
    { name: 'name', label: 'Name', required: true },
    { name: 'password', label: 'Password', type: 'password', kept: 'as it is' },
    { name: 'pull', label: 'May watch', placeholder: '/hr/*;/lobby/+' },
    { name: 'push', label: 'May push', placeholder: '/hr/*' },
    { name: 'admin', label: 'Administrator', type: 'checkbox' },
  ],
  toForm: ({ name, pull, push, admin }) => ({ name, pull, push, admin }),
  toCall: ({ password, ...rest }, old) => (password
    ? [`users${old ? '?update_password=1' : ''}`, { password, ...rest }]
    : ['users', rest]),
  address: (name) => `users/${encodeURIComponent(name)}`,
};
