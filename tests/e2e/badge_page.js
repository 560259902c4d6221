// Put into pages before their own scripts: a clock that tests set ahead, what was seen and sent.
(() => {
    const { setTimeout: later, clearTimeout: forget, fetch: ask } = window;
    const now = Date.now;
    const timers = new Map();
    let ahead = 0;
    let ids = 0;
    const fire = (id) => {
        const timer = timers.get(id);
        window.clearTimeout(id);
        timer?.work();
    };
    Date.now = () => now() + ahead;
    window.setTimeout = (work, wait = 0) => {
        ids += 1;
        const id = ids;
        timers.set(id, {
            work,
            at: Date.now() + Math.max(0, wait),
            real: later(() => fire(id), wait),
        });
        return id;
    };
    window.clearTimeout = (id) => {
        forget(timers.get(id)?.real);
        timers.delete(id);
    };
    // As if that many milliseconds passed.
    window.advance = (length) => {
        const end = Date.now() + length;
        for (;;) {
            const [id, timer] =
                [...timers].reduce(
                    (one, other) => (!one || other[1].at < one[1].at ? other : one),
                    null,
                ) ?? [];
            if (!timer || timer.at > end) break;
            ahead += Math.max(0, timer.at - Date.now());
            fire(id);
        }
        ahead += Math.max(0, end - Date.now());
    };

    // Requests under way, the most at once, and all that ended.
    window.asked = { now: 0, most: 0, ended: 0, bodies: [] };
    window.fetch = async (where, options) => {
        const { asked } = window;
        asked.now += 1;
        asked.most = Math.max(asked.most, asked.now);
        asked.bodies.push(JSON.parse(options.body));
        try {
            return await ask(where, options);
        } finally {
            asked.now -= 1;
            asked.ended += 1;
        }
    };

    // Leaves, where the next page of the same origin can read them.
    const send = navigator.sendBeacon.bind(navigator);
    navigator.sendBeacon = (where, body) => {
        try {
            const sent = JSON.parse(localStorage.getItem('test.leaves') ?? '[]');
            localStorage.setItem('test.leaves', JSON.stringify([...sent, JSON.parse(body)]));
        } catch {
            /* no storage */
        }
        return send(where, body);
    };

    // What the badge shows, frame by frame: each text once until it changes, null while hidden.
    window.shown = [];
    window.spoken = [];
    const note = (list, value) => list.at(-1) === value || list.push(value);
    const look = () => {
        const badge = document.querySelector('.presence-badge');
        if (badge) {
            const text = (part) => badge.shadowRoot.querySelector(`[part=${part}]`).textContent;
            const hidden = getComputedStyle(badge).display === 'none';
            note(window.shown, hidden ? null : `${text('count')} ${text('label')}`);
            note(window.spoken, text('spoken'));
        }
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})();
