// The badge counts this visitor while the page is visible, and shows how many are here:
//   <script async src="https://HOST/badge.js" data-site="example.com"></script>
// README has its attributes. It shows nothing that was not measured.
(() => {
    'use strict';
    const script = document.currentScript;
    const { navigation } = window;
    const data = script.dataset;
    const site = data.site || location.hostname;
    const least = data.min ?? 1;
    const wholeSite = data.count === 'site';
    const minute = 60000;

    // Storage may be denied or full: then this page is a visitor of its own.
    const stored = (storage, key, value) => {
        try {
            if (value === null) window[storage].removeItem(key);
            else if (value) window[storage].setItem(key, value);
            return window[storage].getItem(key);
        } catch {
            return null;
        }
    };
    const local = (key, value) => stored('localStorage', key, value);
    const random = () => crypto.getRandomValues(new Uint32Array(4)).join('-');

    // Of tabs that open at once each may make an id: the last one stored is everybody's.
    let id;
    const visitor = () => {
        id = local('presence.id') || id || random();
        local('presence.id', id);
        return id;
    };

    const here = () => {
        if ('room' in data) return data.room;
        try {
            return decodeURI(location.pathname);
        } catch {
            return location.pathname;
        }
    };
    let room = here();

    // Where they came from, kept while the tab goes from page to page.
    let source = document.referrer.split(/[/:]/)[3];
    if (source === location.hostname) source = '';
    source = stored('sessionStorage', 'presence.from', source) || source;

    // Open tabs. Each writes a key of its own, so that none undoes another's; one that crashed is
    // forgotten in time.
    const tabs = `presence.tab ${site} `;
    const tab = tabs + random();
    const enlist = () => local(tab, `${Date.now() + 3 * minute} ${room}`);
    const otherRooms = () => {
        try {
            return Object.keys(localStorage)
                .filter((key) => key.startsWith(tabs) && key !== tab)
                .map((key) => [key, ...local(key).split(/ (.*)/)])
                .filter(([key, until]) => until > Date.now() || local(key, null))
                .map(([, , other]) => other);
        } catch {
            return [];
        }
    };

    const url = (name) => new URL(name, script.src);
    const body = (more) => JSON.stringify({ site, visitor: visitor(), token: data.token, ...more });
    const leave = (more) => {
        local('presence.left', Date.now());
        navigator.sendBeacon(url('touch'), body({ kind: 'leave', ...more }));
    };
    const leaveRoom = (others) => room && !others.includes(room) && leave({ room });

    // Heartbeats: one a minute while visible, never two in flight.
    let timer,
        viewed,
        busy,
        refused,
        last = 0,
        answered = 0;
    const touch = async () => {
        if (busy || refused || document.hidden) return;
        const place = room;
        busy = true;
        last = Date.now();
        try {
            const answer = await fetch(url('touch'), {
                method: 'POST',
                credentials: 'omit',
                signal: AbortSignal.timeout?.(10000),
                body: body({ room, source, kind: viewed === room ? 'heartbeat' : 'pageview' }),
            });
            refused = answer.status === 401 || answer.status === 403;
            const news = await answer.json();
            if (refused) {
                hide();
                deafen();
            }
            if (!answer.ok || place !== room) return;
            viewed = room;
            // Of a collector that is slow or stale the stream tells: it forgives a restart.
            if (!news.counted || news.stale || (room && !news.room)) return;
            learn({ ...news, count: wholeSite ? news.site_count : news.count });
            answered = Date.now();
        } catch {
            // The next minute tries again.
        } finally {
            busy = false;
            if (place !== room) touch();
        }
    };
    const tick = () => {
        enlist();
        touch();
        // A leave that this touch may have overtaken is made good soon.
        const wait = Math.abs(last - local('presence.left')) < 5000 ? 5000 : minute;
        clearTimeout(timer);
        timer = setTimeout(tick, wait);
    };

    // The stream, while visible: over HTTP/1.1 a browser has but six connections to a host.
    let stream, again, held;
    const listen = () => {
        if (stream || refused || document.hidden) return;
        const place = url('stream');
        place.searchParams.set('site', site);
        if (room && !wholeSite) place.searchParams.set('room', room);
        if (data.token) place.searchParams.set('token', data.token);
        doubt();
        stream = new EventSource(place);
        stream.addEventListener('count', (event) => {
            const news = JSON.parse(event.data);
            const { count, stale, warming } = news;
            clearTimeout(held);
            // A lower number may have been read before a touch's answer: the next will say.
            const lower = !stale && !warming && count !== null && count < shown;
            if (lower && Math.abs(Date.now() - answered) < 1000)
                held = setTimeout(() => learn(news), 1000);
            else learn(news);
        });
        stream.onerror = () => {
            clearTimeout(held);
            doubt();
            if (stream.readyState < 2) return; // the browser connects anew by itself
            deafen();
            again = setTimeout(listen, 5000 + Math.random() * 25000);
        };
    };
    const deafen = () => {
        clearTimeout(again);
        clearTimeout(held);
        stream?.close();
        stream = null;
    };

    // The last number outlives a reconnect, but not by much.
    let doubts;
    const doubt = () => {
        doubts ||= setTimeout(hide, 1.5 * minute);
    };
    const learn = ({ count, stale, warming }) => {
        doubts = clearTimeout(doubts);
        if (stream?.readyState !== 1) doubt();
        if (stale || warming || count === null || count < least) hide();
        else show(count);
    };

    // The view. Its shadow tree keeps the page's styles out; no content policy forbids its own.
    const element = (parent, name) => {
        const span = parent.appendChild(document.createElement('span'));
        span.setAttribute('part', name);
        return span;
    };
    const host = document.createElement('span');
    host.className = 'presence-badge';
    const shadow = host.attachShadow({ mode: 'open' });
    const badge = element(shadow, 'badge');
    badge.ariaHidden = true;
    element(badge, 'dot');
    const number = element(badge, 'count');
    const label = element(badge, 'label');
    const spoken = element(shadow, 'spoken');
    spoken.role = 'status';
    try {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(`
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
@keyframes in { from { opacity: .2 } }`);
        shadow.adoptedStyleSheets = [sheet];
    } catch {
        // An old browser shows it plain.
    }

    const text = (count) => {
        try {
            return count.toLocaleString(document.documentElement.lang || undefined);
        } catch {
            return `${count}`;
        }
    };
    const words = () => (shown === 1 && data.labelOne) || (data.label ?? 'viewing now');
    let shown, drawn, frame, said, saying;
    const draw = (count) => {
        drawn = count;
        number.textContent = text(count);
    };
    const say = () => {
        said = Date.now();
        spoken.textContent = `${text(shown)} ${words()}`;
    };
    const show = (count) => {
        if (count === shown) return;
        const still =
            shown === undefined ||
            document.hidden ||
            matchMedia('(prefers-reduced-motion: reduce)').matches;
        const from = still ? count : drawn;
        const begin = performance.now();
        const step = (now) => {
            const left = Math.max(0, 1 - Math.max(0, now - begin) / 600) ** 3;
            draw(Math.round(count + (from - count) * left));
            if (drawn !== count) frame = requestAnimationFrame(step);
        };
        if (!host.isConnected) {
            if (data.target) document.querySelector(data.target)?.append(host);
            else if (!document.head.contains(script)) script.after(host);
        }
        clearTimeout(saying);
        cancelAnimationFrame(frame);
        const first = shown === undefined;
        shown = count;
        label.textContent = words();
        host.hidden = false;
        step(begin);
        // Screen readers hear of it at most once a minute.
        if (first) say();
        else saying = setTimeout(say, said + minute - Date.now());
        tell(count);
    };
    const hide = () => {
        host.hidden = true;
        clearTimeout(saying);
        cancelAnimationFrame(frame);
        if (shown !== undefined) tell(null);
        shown = undefined;
    };
    const tell = (count) =>
        document.dispatchEvent(new CustomEvent('presence', { detail: { site, room, count } }));

    const come = () => {
        if (document.hidden) deafen();
        else listen();
        if (Math.abs(Date.now() - last) >= minute) tick();
    };
    const move = () => {
        if (here() === room) return;
        leaveRoom(otherRooms());
        room = here();
        hide();
        deafen();
        listen();
        tick();
    };
    document.addEventListener('visibilitychange', come);
    navigation?.addEventListener('currententrychange', move);
    addEventListener('popstate', move);

    // A page of the same site that follows is no leave of the site.
    let moving = 0;
    navigation?.addEventListener('navigate', ({ destination, downloadRequest }) => {
        const inside = new URL(destination.url).origin === location.origin;
        if (!destination.sameDocument) moving = inside && downloadRequest == null && Date.now();
    });
    addEventListener('pagehide', () => {
        const others = otherRooms();
        local(tab, null);
        clearTimeout(timer);
        deafen();
        if (!last) return; // never seen, so never counted
        leaveRoom(others);
        if (!others.length && Date.now() - moving > 15000) leave({ source });
    });
    addEventListener('pageshow', ({ persisted }) => {
        if (!persisted) return;
        viewed = null;
        last = 0;
        come();
    });

    hide();
    come();
})();
