// The big number: each digit rolls to its next value. Screen readers get plain text.

import { make, number, unknown } from './format.js';

const digits = '0123456789';

function column(character) {
    const element = make('span', digits.includes(character) ? 'digit' : 'sign');
    if (element.className === 'digit')
        element.append(...[...digits].map((each) => make('span', '', each)));
    return element;
}

/** Show a count in `place`, or that it is unknown (null). */
export function showNumber(place, count) {
    const value = String(count ?? 'unknown');
    if (place.dataset.value === value) return;
    place.dataset.value = value;
    if (!place.firstChild) {
        place.append(make('span', 'rolls'), make('span', 'spoken'));
        place.firstChild.ariaHidden = 'true';
    }
    const [rolls, spoken] = place.children;
    const text = number(count ?? NaN);
    spoken.textContent = text === unknown ? 'not known' : text;
    rolls.style.setProperty('--characters', Math.max(3, text.length));
    while (rolls.childElementCount > text.length) rolls.firstChild.remove();
    // Number the columns from the right, so that a growing number keeps them.
    for (let at = 1; at <= text.length; at += 1) {
        const character = text.at(-at);
        let element = rolls.children[rolls.childElementCount - at];
        const wanted = column(character);
        if (!element) rolls.prepend(wanted);
        else if (element.className !== wanted.className) element.replaceWith(wanted);
        element = rolls.children[rolls.childElementCount - at];
        if (element.className === 'sign') element.textContent = character;
        else element.style.setProperty('--digit', character);
    }
}
