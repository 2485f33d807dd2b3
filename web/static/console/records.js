// A list of what administrators keep, users or routes: listed, added, changed and deleted. What they are is told by a `Kind`.

import { call, get } from './api.js';
import { element } from './sources.js';

const PAGE = 100;
const LARGEST_PAGE = 1000;
const CONFIRM_MS = 5000; // a deletion is asked about for so long

/**
 * @typedef {object} Kind
 * @property {string} path of the API, "users"; the list's name in its answers too
 * @property {string} title
 * @property {string} one "user"
 * @property {string} key field that names a record
 * @property {string} about in words
 * @property {number} every ms between looks at what changes by itself; 0: never
 * @property {[string, (record: object) => string][]} columns
 * @property {{name: string, label: string, type?: string, placeholder?: string, required?: boolean, kept?: string}[]} fields
 *   `kept`: the placeholder of what is never shown
 * @property {(record: object) => object} toForm
 * @property {(values: object, old: object|null) => [string, object]} toCall path and body of the POST
 * @property {(key: string) => string} address below the API
 */

export class Records {
  #kind;
  #rows = new Map(); // key -> {row, cells, record}
  #next = '';
  #editing = null;
  #timer = 0;
  #shown = false;

  /** @param {HTMLElement} root @param {Kind} kind */
  constructor(root, kind) {
    this.root = root;
    this.#kind = kind;
    this.title = kind.title;
    this.heading = element('h1', '', kind.title);
    this.heading.tabIndex = -1;
    this.note = element('p', 'error');
    this.note.setAttribute('role', 'alert');
    this.body = element('tbody');
    const head = element('tr');
    for (const [label] of kind.columns) head.append(header(label));
    head.append(header('', 'What to do'));
    const table = element('table');
    const thead = element('thead');
    thead.append(head);
    table.append(thead, this.body);
    table.setAttribute('aria-label', kind.title);
    this.more = button('Show more', () => this.#load(this.#next), 'quiet');
    this.form = this.#buildForm();
    this.#edit(null);
    root.append(this.heading, element('p', 'note', kind.about), this.note, table, this.more, this.form);
  }

  /** Shows or hides it; what it shows is asked for when it appears. */
  show(shown) {
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.root.hidden = !shown;
    clearTimeout(this.#timer);
    if (!shown) return;
    this.#edit(null);
    this.#refresh();
    this.heading.focus();
  }

  async #refresh() {
    clearTimeout(this.#timer);
    if (!document.hidden) await this.#load('');
    if (this.#shown && this.#kind.every) this.#timer = setTimeout(() => this.#refresh(), this.#kind.every);
  }

  async #load(token) {
    const { path, key } = this.#kind;
    const size = token ? PAGE : Math.min(LARGEST_PAGE, Math.max(PAGE, this.#rows.size));
    try {
      const answer = await get(`${path}?page_size=${size}&page_token=${encodeURIComponent(token)}`);
      const gone = new Set(token ? [] : this.#rows.keys());
      for (const record of answer[path]) {
        gone.delete(record[key]);
        this.#put(record);
      }
      for (const name of gone) this.#drop(name);
      this.#next = answer.next_page_token;
      this.more.hidden = !this.#next;
      this.#say('');
    } catch (error) {
      this.#say(inWords(error));
    }
  }

  #put(record) {
    const { key, columns } = this.#kind;
    const name = record[key];
    const known = this.#rows.get(name) ?? this.#add(name);
    known.record = record;
    columns.forEach(([, text], n) => {
      if (known.cells[n].textContent !== text(record)) known.cells[n].textContent = text(record);
    });
  }

  #add(name) {
    const { columns } = this.#kind;
    const row = element('tr');
    const cells = columns.map(([label], n) => {
      const cell = element(n ? 'td' : 'th');
      if (!n) cell.scope = 'row';
      cell.dataset.label = label;
      return cell;
    });
    const actions = element('td', 'actions');
    const change = button('Change', () => this.#edit(this.#rows.get(name).record), 'quiet');
    change.setAttribute('aria-label', `Change ${name}`);
    actions.append(change, this.#deleteButton(name));
    row.append(...cells, actions);
    // In the order that the hub has, whatever was added meanwhile.
    const after = [...this.#rows].find(([other]) => other > name)?.[1].row ?? null;
    this.body.insertBefore(row, after);
    const entry = { row, cells, record: null };
    this.#rows.set(name, entry);
    this.#rows = new Map([...this.#rows].sort(([a], [b]) => (a < b ? -1 : 1)));
    return entry;
  }

  #drop(name) {
    const { row } = this.#rows.get(name);
    if (row.contains(document.activeElement)) this.heading.focus();
    row.remove();
    this.#rows.delete(name);
  }

  /** Asks once more before it deletes. */
  #deleteButton(name) {
    let timer = 0;
    const calm = () => {
      clearTimeout(timer);
      one.classList.remove('sure');
      one.textContent = 'Delete';
      one.setAttribute('aria-label', `Delete ${name}`);
    };
    const one = button('', async () => {
      if (!one.classList.contains('sure')) {
        one.classList.add('sure');
        one.textContent = 'Really delete?';
        one.setAttribute('aria-label', `Really delete ${name}?`);
        timer = setTimeout(calm, CONFIRM_MS);
        return;
      }
      calm();
      try {
        await call('DELETE', this.#kind.address(name));
        this.#drop(name);
        if (this.#editing?.[this.#kind.key] === name) this.#edit(null);
        this.#say('');
      } catch (error) {
        this.#say(inWords(error));
      }
    }, 'quiet delete');
    calm();
    return one;
  }

  #buildForm() {
    const { fields, one } = this.#kind;
    const form = element('form', 'record');
    this.legend = element('h2', '', '');
    this.problem = element('p', 'error');
    this.problem.setAttribute('role', 'alert');
    const labels = fields.map(({ name, label, type = 'text', placeholder = '', required = false }) => {
      const input = Object.assign(element('input'), { name, type, placeholder, required, spellcheck: false });
      input.autocomplete = type === 'password' ? 'new-password' : 'off';
      input.autocapitalize = 'none';
      const holder = element('label', type, label);
      if (type === 'checkbox') holder.prepend(input);
      else holder.append(input);
      return holder;
    });
    this.submit = button('', () => {}, 'main');
    this.submit.type = 'submit';
    this.cancel = button('Cancel', () => this.#edit(null), 'quiet');
    const buttons = element('div', 'buttons');
    buttons.append(this.submit, this.cancel);
    form.append(this.legend, ...labels, this.problem, buttons);
    form.setAttribute('aria-label', `Add or change a ${one}`);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#save();
    });
    return form;
  }

  /** @param {object|null} record `null`: a new one */
  #edit(record) {
    const { fields, one, key, toForm } = this.#kind;
    this.#editing = record;
    this.problem.textContent = '';
    this.legend.textContent = record ? `Change ${record[key]}` : `Add a ${one}`;
    this.submit.textContent = record ? 'Keep the change' : `Add the ${one}`;
    this.cancel.hidden = !record;
    const values = record ? toForm(record) : {};
    for (const { name, type, placeholder = '', kept } of fields) {
      const input = this.form.elements[name];
      if (type === 'checkbox') input.checked = Boolean(values[name]);
      else input.value = values[name] ?? '';
      input.placeholder = (record && kept) || placeholder;
      input.readOnly = Boolean(record) && name === key;
    }
    if (!record) return;
    const first = fields.find(({ name }) => name !== key);
    this.form.elements[first.name].focus();
  }

  async #save() {
    const values = Object.fromEntries(this.#kind.fields.map(({ name, type }) => {
      const input = this.form.elements[name];
      return [name, type === 'checkbox' ? input.checked : type === 'password' ? input.value : input.value.trim()];
    }));
    this.problem.textContent = '';
    this.submit.disabled = true;
    try {
      await call('POST', ...this.#kind.toCall(values, this.#editing));
      this.#edit(null);
      await this.#load('');
    } catch (error) {
      this.problem.textContent = inWords(error);
    } finally {
      this.submit.disabled = false;
    }
  }

  #say(text) { if (this.note.textContent !== text) this.note.textContent = text; }
}

function inWords(error) {
  if (error.status === undefined) return 'The hub does not answer.';
  return error.status === 401 ? 'Your login is over. Log in again.' : error.message;
}

function header(label, unseen = '') {
  const cell = element('th');
  cell.scope = 'col';
  cell.append(unseen ? element('span', 'unseen', unseen) : label);
  return cell;
}

function button(text, act, className) {
  const one = element('button', className, text);
  one.type = 'button';
  one.onclick = act;
  return one;
}
