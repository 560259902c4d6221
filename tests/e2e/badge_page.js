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
    // As if the machine had slept for that many milliseconds: no timer ran.
    window.sleep = (length) => {
        ahead += length;
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
        if (!`${where}`.endsWith('/touch')) return ask(where, options);
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

    // Leaves, where the next page of the same origin can read them. Not in Firefox, which ends
    // scripts of a tab that closes at the next call of a function.
    const send = navigator.sendBeacon.bind(navigator);
    const keepAndSend = (where, body) => {
        try {
            const sent = JSON.parse(localStorage.getItem('test.leaves') ?? '[]');
            localStorage.setItem('test.leaves', JSON.stringify([...sent, JSON.parse(body)]));
        } catch {
            /* no storage */
        }
        return send(where, body);
    };
    if (!navigator.userAgent.includes('Firefox')) navigator.sendBeacon = keepAndSend;

    // What the badge shows: each text once until it changes, null while hidden. A look in each frame
    // would keep the processors busy in all tabs.
    window.shown = [];
    window.spoken = [];
    const note = (list, value) => list.at(-1) === value || list.push(value);
    const look = () => {
        const badges = [...document.querySelectorAll('.presence-badge')];
        const badge = badges.find((each) => each.shadowRoot);
        if (!badge) return;
        watch(badge.shadowRoot);
        const text = (part) => badge.shadowRoot.querySelector(`[part=${part}]`).textContent;
        const hidden = getComputedStyle(badge).display === 'none';
        if (!hidden || window.shown.length)
            note(window.shown, hidden ? null : `${text('count')} ${text('label')}`);
        if (text('spoken')) note(window.spoken, text('spoken'));
    };
    const observer = new MutationObserver(look);
    const watched = new WeakSet();
    const watch = (root) => {
        if (watched.has(root)) return;
        watched.add(root);
        observer.observe(root, {
            attributes: true,
            characterData: true,
            childList: true,
            subtree: true,
        });
    };
    watch(document);
    setInterval(look, 250); // for what no mutation tells, such as a style sheet that has loaded
})();
