// One badge's element: a shadow tree, which keeps the page's styles out.
import { attempt, minute } from './base.js';

const style = `
:host { display: inline-block; position: relative; font-size: .875em; line-height: 1.4 }
:host([hidden]) { display: none }
[part=badge] { display: flex; align-items: center; gap: .4em; padding: .25em .8em;
    border: 1px solid color-mix(in srgb, currentcolor 20%, transparent); border-radius: 9em }
[part=dot] { width: .5em; height: .5em; border-radius: 9em; background: var(--presence-color, #16a34a) }
[part=count] { font-weight: 700; font-variant-numeric: tabular-nums }
[part=spoken] { position: absolute; clip-path: inset(50%); width: 1px; overflow: hidden }
@media (prefers-reduced-motion: no-preference) {
    [part=badge] { animation: in .4s }
    [part=dot] { animation: in 1.2s infinite alternate }
}
@keyframes in { from { opacity: .2 } }`;

const createElement = (parent, name) => {
    const span = parent.appendChild(document.createElement('span'));
    span.part = name;
    return span;
};

const createParts = (host) => {
    const shadow = host.attachShadow({ mode: 'open' });
    const badge = createElement(shadow, 'badge');
    badge.ariaHidden = true;
    createElement(badge, 'dot');
    const number = createElement(badge, 'count');
    const label = createElement(badge, 'label');
    const spoken = createElement(shadow, 'spoken');
    spoken.role = 'status';
    // Old browsers show it without style.
    attempt(() => {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(style);
        shadow.adoptedStyleSheets = [sheet];
    });
    return { number, label, spoken };
};

const format = (count) =>
    attempt(() => count.toLocaleString(document.documentElement.lang || undefined), count);

export const createView = (data, findPlace) => {
    const host = document.createElement('span');
    host.className = 'presence-badge';
    host.hidden = true;
    const { number, label, spoken } = createParts(host);
    let shown, drawn, frame, spokenAt, speaking;

    const words = () => (shown === 1 && data.labelOne) || (data.label ?? 'viewing now');
    const draw = (count) => {
        drawn = count;
        number.textContent = format(count);
    };
    const speak = () => {
        spokenAt = Date.now();
        spoken.textContent = `${format(shown)} ${words()}`;
    };
    const dispatch = (count) => {
        const { site, room } = findPlace();
        document.dispatchEvent(new CustomEvent('presence', { detail: { site, room, count } }));
    };
    const moveFrom = (before) => {
        const begin = performance.now();
        const step = (now) => {
            const left = Math.max(0, 1 - Math.max(0, now - begin) / 600) ** 3;
            draw(Math.round(shown + (before - shown) * left));
            if (drawn !== shown) frame = requestAnimationFrame(step);
        };
        step(begin);
    };
    const update = (count) => {
        const before = shown;
        shown = count >= (data.min ?? 1) ? count : undefined;
        if (shown === before) return;
        clearTimeout(speaking);
        cancelAnimationFrame(frame);
        host.hidden = shown === undefined;
        dispatch(shown ?? null);
        if (host.hidden) return;
        const isStill =
            before === undefined ||
            document.hidden ||
            matchMedia('(prefers-reduced-motion: reduce)').matches;
        label.textContent = words();
        moveFrom(isStill ? shown : drawn);
        // Announce a change to screen readers at most once a minute.
        if (before === undefined) speak();
        else speaking = setTimeout(speak, Math.min(minute, spokenAt + minute - Date.now()));
    };
    return { host, update };
};
