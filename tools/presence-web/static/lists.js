// The busiest pages, sources and countries, each with a bar in proportion to the busiest.

import { isCount, make, number, write } from './format.js';

function row() {
    const item = make('li');
    const name = make('span', 'name');
    name.dir = 'auto';
    item.append(make('span', 'bar'), name, make('span', 'visitors'));
    return item;
}

/**
 * Show `entries` ({name, visitors, label}) in `section`. Rows are kept by name, so that bars grow
 * in place. `entries` undefined: unknown; `empty` is the text if there are none.
 */
export function showList(section, entries, empty) {
    const list = section.querySelector('ol');
    const note = section.querySelector('.empty');
    const known = entries?.filter(
        ({ name, visitors }) => typeof name === 'string' && isCount(visitors),
    );
    const rows = new Map([...list.children].map((item) => [item.dataset.name, item]));
    const most = Math.max(1, ...(known ?? []).map(({ visitors }) => visitors));
    const items = (known ?? []).map(({ name, visitors, label }) => {
        const item = rows.get(name) ?? row();
        const [bar, title, count] = item.children;
        item.dataset.name = name;
        title.title = name;
        write(title, label ?? name);
        write(count, number(visitors));
        bar.style.setProperty('--share', visitors / most);
        return item;
    });
    if (
        items.length !== list.childElementCount ||
        items.some((item, at) => item !== list.children[at])
    ) {
        list.replaceChildren(...items);
    }
    note.hidden = items.length > 0;
    write(note, known ? empty : 'Not known');
}
