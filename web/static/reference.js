// Shows the hub's OpenAPI description as plain HTML. Texts go in as text only; `code` is all the markup that they have.

const METHODS = ['get', 'post', 'delete'];
const description = new URL('v1/openapi.json', document.baseURI);

/** An element with attributes and children; texts may have `code`. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const child of children.flat()) element.append(...(typeof child === 'string' ? marked(child) : [child]));
  return element;
}

function marked(text) {
  return text.split('`').map((part, index) => {
    if (index % 2 === 0) return part;
    const code = document.createElement('code');
    code.textContent = part;
    return code;
  });
}

function resolve(api, schema) {
  if (schema?.$ref) return resolve(api, api.components.schemas[schema.$ref.split('/').pop()]);
  // A reference with a text of its own, or one that may be null.
  const inner = schema?.allOf ?? schema?.oneOf;
  return inner ? resolve(api, inner.find((one) => one.type !== 'null')) : schema ?? {};
}

function kind(schema) {
  const type = [schema.type ?? 'object'].flat().filter((one) => one !== 'null').join(' or ');
  const range = schema.minimum !== undefined && schema.maximum !== undefined ? ` ${schema.minimum} to ${schema.maximum}` : '';
  return type === 'array' ? 'list' : type + range;
}

/** Rows of all fields, those of fields included: `flow.inbytes`. */
function fields(api, schema, before = '') {
  const whole = resolve(api, schema);
  const required = whole.required ?? [];
  return Object.entries(whole.properties ?? {}).flatMap(([name, given]) => {
    const field = resolve(api, given);
    const text = given.description ?? field.description ?? '';
    const type = kind(field) + (required.includes(name) ? '' : ', optional');
    const row = el('tr', {}, el('td', {}, el('code', {}, before + name)), el('td', {}, type), el('td', {}, text));
    const inner = field.type === 'array' ? field.items : field;
    const mark = field.type === 'array' ? '[].' : '.';
    return [row, ...fields(api, inner, before + name + mark)];
  });
}

/** The example's fields in the order in which they are described. */
function ordered(api, schema, example) {
  const whole = resolve(api, schema);
  if (Array.isArray(example)) return example.map((item) => ordered(api, whole.items, item));
  if (example === null || typeof example !== 'object' || !whole.properties) return example;
  return Object.fromEntries(Object.keys(whole.properties).filter((name) => name in example)
    .map((name) => [name, ordered(api, whole.properties[name], example[name])]));
}

function body(api, content) {
  const [type, { schema, example }] = Object.entries(content)[0];
  const rows = fields(api, schema);
  return [
    ...(rows.length > 0 ? [el('table', { class: 'fields' }, el('tbody', {}, rows))] : [el('p', {}, type)]),
    ...(example === undefined ? [] : [el('pre', {}, JSON.stringify(ordered(api, schema, example), null, 2).replaceAll('`', "'"))]),
  ];
}

function parameters(list) {
  const rows = list.map((one) => el('tr', {},
    el('td', {}, el('code', {}, one.name)),
    el('td', {}, `${one.in}, ${kind(one.schema ?? {})}${one.required ? '' : ', optional'}`),
    el('td', {}, `${one.description ?? ''}${one.example === undefined ? '' : ` Example: \`${one.example}\``}`)));
  return [el('h4', {}, 'Parameters'), el('table', { class: 'fields' }, el('tbody', {}, rows))];
}

function answers(api, responses) {
  const [good, bad] = [[], []];
  for (const [status, answer] of Object.entries(responses)) {
    const head = el('summary', {}, el('b', {}, status), ` ${answer.description}`);
    const shown = el('details', status.startsWith('2') ? { open: '' } : {}, head, answer.content ? body(api, answer.content) : []);
    (status.startsWith('2') ? good : bad).push(shown);
  }
  return [el('h4', {}, 'Answers'), ...good, ...bad];
}

function call(api, base, path, method, operation) {
  const open = operation.security?.some((one) => Object.keys(one).length === 0);
  return el('section', { class: 'call', id: operation.operationId },
    el('h3', {}, el('span', { class: `method ${method}` }, method.toUpperCase()), ' ', el('code', {}, base + path)),
    el('p', {}, operation.summary ?? '', open ? '' : el('span', { class: 'who' }, ' · needs a token')),
    operation.description ? el('p', {}, operation.description) : [],
    operation.parameters?.length ? parameters(operation.parameters) : [],
    operation.requestBody ? [el('h4', {}, 'Body'), ...body(api, operation.requestBody.content)] : [],
    answers(api, operation.responses));
}

function show(api) {
  document.getElementById('version').textContent = api.info.version;
  const [contents, calls] = ['contents', 'calls'].map((id) => document.getElementById(id));
  calls.append(el('h1', {}, 'REST'), el('p', {}, api.info.description));
  const base = api.servers[0].url;
  for (const tag of api.tags) {
    contents.append(el('h2', {}, tag.name));
    calls.append(el('h2', {}, tag.name), el('p', {}, tag.description));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((one) => item[one]?.tags?.includes(tag.name))) {
        const link = el('a', { href: `#${item[method].operationId}` }, el('span', { class: `method ${method}` }, method.toUpperCase()), path);
        contents.append(link);
        calls.append(call(api, base, path, method, item[method]));
      }
    }
  }
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

try {
  const answer = await fetch(description, { signal: AbortSignal.timeout(8000) });
  if (!answer.ok) throw new Error(`it answered ${answer.status}`);
  show(await answer.json());
} catch (error) {
  document.getElementById('hub-state').textContent = `The description could not be read: ${error.message}`;
}
