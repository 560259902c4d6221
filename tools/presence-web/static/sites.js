// The site: a field to search in, and the sites that match, busiest first. The server searches, as
// there may be thousands; the last line says how many are not shown.

import { isCount, make, number, write } from './format.js';

const most = 100; // sites in the list
const pause = 120; // ms after a key, as there may be another

function option(name, visitors, at) {
    const item = make('li');
    item.id = `site-${at}`;
    item.role = 'option';
    item.dataset.site = name;
    const text = make('span', 'name', name);
    text.dir = 'auto';
    text.title = name;
    item.append(text, make('span', 'visitors', number(visitors)));
    return item;
}

/** Say how many sites there are, and how many of them are not in the list. */
function describe({ total, partial }, shown, isSearch, missing) {
    const sites = `${number(total)} ${total === 1 ? 'site' : 'sites'}`;
    let words = isSearch ? `${sites} found` : sites;
    if (total === 0) words = isSearch ? 'No site has this in its name' : 'No site yet';
    else if (shown < total)
        words = `The busiest ${number(shown)} of ${sites}: type ${isSearch ? 'more ' : ''}to find others`;
    return partial ? `${words}. Some are missing: ${missing}` : words;
}

export class SitePicker {
    /** `search(text, limit)` fetches sites; `pick(site)` is called with the one that is chosen. */
    constructor(box, search, pick) {
        [this.field, this.popup] = [box.querySelector('input'), box.querySelector('.popup')];
        [this.list, this.note] = this.popup.children;
        Object.assign(this, { search, pick, site: '', active: -1, asked: 0, listed: null });
        this.missing = 'the collector had no room'; // why sites may be
        this.field.addEventListener('focus', () => this.field.select());
        this.field.addEventListener('click', () => this.open());
        this.field.addEventListener('input', () => this.open(this.field.value.trim()));
        this.field.addEventListener('keydown', (event) => this.key(event));
        this.field.addEventListener('blur', () => this.close());
        this.field.form.addEventListener('submit', (event) => event.preventDefault());
        this.popup.addEventListener('mousedown', (event) => event.preventDefault());
        this.list.addEventListener('click', ({ target }) => this.choose(target.closest('li')));
    }

    get isOpen() {
        return !this.popup.hidden;
    }

    /** Show the site that is looked at; '' for none. */
    show(site) {
        this.site = site ?? '';
        this.field.disabled = !site;
        if (!this.isOpen) this.field.value = this.site;
    }

    /** Open the list, of all sites or of those that have `text` in their name. */
    open(text) {
        if (this.isOpen && text === undefined) return;
        this.toggle(true);
        this.asked += 1;
        this.listed = this.fill(text, this.asked);
    }

    async fill(text, asked) {
        if (text) await new Promise((resolve) => setTimeout(resolve, pause));
        if (asked !== this.asked) return;
        const answer = await this.search(text ?? '', most).catch(() => null);
        if (asked !== this.asked || !this.isOpen) return;
        const sites = answer?.data.filter(({ site, count }) => site && isCount(count)) ?? [];
        this.list.replaceChildren(...sites.map(({ site, count }, at) => option(site, count, at)));
        write(this.note, answer ? describe(answer, sites.length, text, this.missing) : 'Not known');
        const own = sites.findIndex(({ site }) => site === this.site);
        this.activate(text ? 0 : own);
    }

    close() {
        this.toggle(false);
        this.asked += 1;
        this.list.replaceChildren();
        this.activate(-1);
        this.field.value = this.site;
    }

    toggle(isOpen) {
        this.popup.hidden = !isOpen;
        this.field.ariaExpanded = String(isOpen);
    }

    /** Mark an option as the one that Enter chooses; the focus stays in the field. */
    activate(index) {
        const old = this.list.children[this.active];
        const item = this.list.children[index];
        if (old) old.ariaSelected = 'false';
        this.active = item ? index : -1;
        if (!item) {
            this.field.removeAttribute('aria-activedescendant');
            return;
        }
        item.ariaSelected = 'true';
        item.scrollIntoView({ block: 'nearest' });
        this.field.setAttribute('aria-activedescendant', item.id);
    }

    choose(item) {
        if (!item) return;
        const { site } = item.dataset;
        this.close();
        if (site !== this.site) this.pick(site);
        this.field.select();
    }

    /** Choose the active option, once the list is that of the text. */
    async chooseActive() {
        await this.listed;
        this.choose(this.list.children[this.active]);
    }

    key(event) {
        const { length } = this.list.children;
        const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
        const step = steps[event.key];
        if (event.key === 'Enter' && this.isOpen) this.chooseActive();
        else if (event.key === 'Escape' && this.isOpen) this.close();
        else if (step && !this.isOpen) this.open();
        else if (step && length) this.activate(this.target(step, length));
        else return;
        event.preventDefault();
    }

    /** Return the index that is `step` further; beyond an end is the other end. */
    target(step, length) {
        const next = this.active + step;
        if (Math.abs(step) > 1) return Math.min(length - 1, Math.max(0, next));
        return next < 0 ? length - 1 : next % length;
    }
}
