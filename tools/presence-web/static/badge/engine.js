// The engine: one per page and presence-web server, however often this script is run.
import { url } from './base.js';
import { badges, observeBadges, readBadges } from './badges.js';
import { visitorOf } from './names.js';
import { numberOf } from './numbers.js';
import { forget, isHidden, isRefused, leaves, link, prepareLeaves, report } from './presence.js';
import { watch } from './stream.js';

const { navigation } = window;
let timer;
let isAway; // the page is in the back/forward cache, or on its way there
let followed = 0; // when a link to another page of the same origin was followed

const draw = () => {
    for (const { place, update } of badges) update(isRefused(place) ? undefined : numberOf(place));
};

// The visitor is in one place of a page: that of its first badge that counts.
const findPresence = () => {
    const counting = badges.find(({ script }) => script.dataset.watch === undefined);
    if (!counting) return undefined;
    return { ...counting.place, visitor: visitorOf(counting.script.dataset) };
};

const update = () => {
    if (isAway) return;
    readBadges();
    report(findPresence())?.then(update);
    const places = badges.map(({ place }) => place).filter((place) => !isRefused(place));
    watch(isHidden() ? [] : places, draw);
    draw();
};

// Run all timers every five seconds, so that they are right after the machine has slept.
const pulse = () => {
    clearTimeout(timer);
    timer = setTimeout(pulse, 5000);
    update();
};

const followAddress = () => {
    addEventListener('popstate', pulse);
    navigation?.addEventListener('currententrychange', pulse);
    if (navigation) return;
    for (const name of ['pushState', 'replaceState']) {
        const change = history[name];
        history[name] = (...state) => {
            change.apply(history, state);
            pulse();
        };
    }
};

const followDeparture = () => {
    addEventListener('storage', prepareLeaves);
    navigation?.addEventListener('navigate', ({ destination, downloadRequest }) => {
        if (destination.sameDocument || downloadRequest != null) return;
        followed = new URL(destination.url).origin === location.origin && Date.now();
        watch([]); // Firefox caches no page that waits for a lock
    });
    addEventListener('pagehide', () => {
        // Send the leaves first: in a site's last tab Firefox ends scripts when they call a
        // function. Hold the site's leave after a link within the site, which a redirect may
        // still lead out of.
        const { room, site, held } = leaves;
        if (room) navigator.sendBeacon(link, room);
        if (site) navigator.sendBeacon(link, Date.now() - followed < 15000 ? held : site);
        forget();
        watch([]);
        isAway = true;
    });
    addEventListener('pageshow', ({ persisted }) => {
        if (!persisted) return;
        isAway = false;
        pulse();
    });
};

const start = () => {
    followAddress();
    followDeparture();
    document.addEventListener('visibilitychange', pulse);
    document.addEventListener('prerenderingchange', pulse);
    return observeBadges(pulse);
};

const engines = (window[Symbol.for('presence')] ??= {});
(engines[url('.')] ??= start())();
