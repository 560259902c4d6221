// The dashboard: its state, its requests, and what it shows.

import { read, Refused, remember, remembered, repeat, sitePath, useKey } from './api.js';
import { Chart } from './chart.js';
import { addEvents, addMissed, clearEvents } from './feed.js';
import {
    country,
    duration,
    exactTime,
    isCount,
    moment,
    number,
    percent,
    unknown,
    write,
} from './format.js';
import { isQuiet, showHealth } from './health.js';
import { showList } from './lists.js';
import { showNumber } from './number.js';
import { buckets, readMinutes } from './trend.js';

const $ = (id) => document.getElementById(id);
const chart = new Chart($('chart'));
const patience = 12000; // ms without an answer after which the server counts as unreachable

const wanted = new URLSearchParams(location.search);
const state = {
    site: wanted.get('site'),
    minutes: Number(wanted.get('minutes')) || 5,
    heard: performance.now(), // when the server last answered
    refusal: '', // why the server refuses to answer
    collector: true, // false: the server has no segment to read
    now: null, // the last of: count, stale, warming, partial, as_of, last_heartbeat_s
    status: null,
    history: [],
    peak: null,
};

// --- showing

function mark() {
    const now = state.now;
    if (performance.now() - state.heard > patience) return ['offline', 'No answer from the server'];
    if (state.refusal && !now) return ['unknown', 'Refused']; // a stream may not need a key
    if (!state.collector) return ['stale', 'No collector'];
    if (!state.site) return ['unknown', 'No site yet'];
    if (!now) return ['unknown', 'Connecting'];
    if (now.stale) {
        const since = now.as_of ? ` since ${exactTime(new Date(now.as_of))}` : '';
        return ['stale', `Stale${since}`];
    }
    if (now.warming) return ['warming', 'Warming up'];
    if (now.partial) return ['partial', 'No room for everybody'];
    if (isQuiet(now.last_heartbeat_s)) {
        const last = Date.parse(now.as_of) - now.last_heartbeat_s * 1000;
        return ['quiet', `Quiet since ${moment(new Date(last))}`];
    }
    return ['live', 'Live'];
}

function windowName(seconds) {
    if (seconds % 3600 === 0) return seconds === 3600 ? 'hour' : `${seconds / 3600} hours`;
    return seconds === 60 ? 'minute' : `${Math.round(seconds / 60)} minutes`;
}

function meaning(kind) {
    const now = state.now;
    if (!now || !isCount(now.count)) {
        if (state.refusal) return state.refusal;
        if (!state.collector) return 'Not known until presenced runs';
        return state.site ? 'Not known' : 'The first heartbeat of a site makes it appear here';
    }
    const when = now.as_of ? exactTime(new Date(now.as_of)) : unknown;
    if (kind === 'offline' || kind === 'stale') return `Last known, as of ${when}`;
    const people = now.count === 1 ? 'visitor' : 'visitors';
    const window = `${people} in the last ${windowName(now.window_s)}`;
    return kind === 'warming' || kind === 'partial' ? `At least this many ${window}` : window;
}

/** Compare the count with an hour ago; '' if that is unknown. */
function change() {
    const then = Date.now() - 3600000;
    const old = state.history.find(({ at }) => Math.abs(at - then) < 90000);
    const now = state.now;
    if (
        !old ||
        !old.mean ||
        !isCount(now?.count) ||
        now.stale ||
        now.warming ||
        now.partial ||
        state.minutes !== 5
    )
        return '';
    const share = now.count / old.mean - 1;
    if (Math.abs(share) < 0.005) return 'as many as an hour ago';
    return `${percent(Math.abs(share))} ${share > 0 ? 'more' : 'fewer'} than an hour ago`;
}

function showNow() {
    const [kind, words] = mark();
    const now = state.now;
    const count = isCount(now?.count) ? now.count : null;
    document.body.dataset.mark = kind;
    write($('mark').lastElementChild, words);
    showNumber($('number'), count);
    write($('meaning'), [meaning(kind), kind === 'live' && change()].filter(Boolean).join(' · '));
    const last = now?.last_heartbeat_s;
    showFact('heartbeat', duration(last), 'ago');
    const title = count === null || kind !== 'live' ? words : number(count);
    if (state.status) showHealth($('health'), state.status, last);
    document.title = [title, state.site, 'presence'].filter(Boolean).join(' · ');
}

function showFact(place, value, note) {
    const [first, second] = $(place).children;
    write(first, value);
    write(second, value === unknown ? '' : note);
}

function showPeak(place, peak) {
    if (peak && isCount(peak.count)) {
        showFact(place, number(peak.count), `at ${moment(new Date(peak.timestamp))}`);
    } else {
        showFact(place, unknown);
    }
}

function showHours() {
    const rows = buckets(state.history, 3600000)
        .reverse()
        .map((hour) => {
            const row = document.createElement('tr');
            const head = row.appendChild(document.createElement('th'));
            head.scope = 'row';
            head.textContent = moment(new Date(hour.at));
            for (const value of [
                hour.min,
                Math.round(hour.mean),
                hour.max,
                hour.pageviews,
                hour.entered,
                hour.left,
            ]) {
                row.insertCell().textContent = number(value);
            }
            return row;
        });
    $('hours').replaceChildren(...rows);
}

function showTrend() {
    chart.show(state.history, Date.now());
    showPeak('peak-today', state.peak?.today);
    showPeak('peak-ever', state.peak?.ever);
    write(
        $('trend-note'),
        state.history.length ? 'mean, and lowest to highest, of visitors within 5 minutes' : '',
    );
    if ($('hours').closest('details').open) showHours();
}

function showLists(answer) {
    // Call a list empty only if the site is known and nothing was left out.
    const unsure = (list) =>
        answer?.currentVisitors === null || answer?.partialLists?.includes(list);
    const named = (list, name, label) =>
        answer?.[list]?.length === 0 && unsure(list)
            ? undefined
            : answer?.[list]?.map((each) => ({
                  name: each[name],
                  visitors: each.visitors,
                  label: label?.(each[name]),
              }));
    showList($('pages'), named('activePages', 'path'), 'Nobody is on a page now');
    showList($('sources'), named('sources', 'source'), 'Nobody came from elsewhere');
    showList($('countries'), named('countries', 'country', country), 'No country is known');
    const views = isCount(answer?.pageViews) ? answer.pageViews : NaN;
    showFact('pageviews', number(views), `in the last ${windowName(answer?.window_s)}`);
}

// --- requests

function heard() {
    state.heard = performance.now();
}

/** Read an answer; null if another site or window was picked meanwhile. */
async function ask(path, parameters) {
    const { site, minutes } = state;
    const answer = await read(path, parameters);
    heard();
    Object.assign(state, { collector: true, refusal: '' });
    return site === state.site && minutes === state.minutes ? answer : null;
}

function failed(error) {
    if (error instanceof Refused) {
        heard();
        if (error.status === 401 || error.status === 403) refused(error);
        else if (error.code === 'no_collector') state.collector = false;
    } else if (error.name !== 'TimeoutError' && !(error instanceof TypeError)) {
        console.error(error);
    }
    showNow();
}

function refused({ code, message }) {
    state.refusal = message;
    if (!code.startsWith('key_') || $('key').open) return;
    if (code === 'key_invalid') write($('key-note'), 'This key is wrong.');
    $('key').showModal();
}

const unlessLocked = (work) => async () => {
    if (!$('key').open) await work();
};

async function readSites() {
    const { data } = await read('api/sites', { limit: 200 });
    heard();
    state.collector = true;
    const names = data.map(({ site }) => site);
    if (!state.site && names.length) pickSite(names[0]);
    if (state.site && !names.includes(state.site)) names.push(state.site);
    names.sort();
    const select = $('site');
    const shown = [...select.options].map(({ value }) => value);
    if (
        names.length &&
        names.join('\n') !== shown.join('\n') &&
        document.activeElement !== select
    ) {
        select.replaceChildren(...names.map((name) => new Option(name, name)));
        select.disabled = false;
    }
    if (state.site) select.value = state.site;
}

let asked = 0; // when the numbers were last requested
let streamed = 0; // when the stream last sent one
async function readNow() {
    if (!state.site) return;
    const answer = await ask(sitePath(state.site, 'realtime', 'api/analytics'), {
        minutes: state.minutes,
        limit: 8,
    });
    if (!answer) return;
    showLists(answer);
    const { window_s, last_heartbeat_s, as_of, stale, warming, partial } = answer;
    // Prefer the stream's number: it is newer, and it does not report a short restart as stale. But
    // a proxy may delay it: use this answer if it has sent nothing for a while and differs.
    const open = stream?.readyState === 1 && state.now;
    const heldUp = open && streamed < asked && !stale;
    asked = performance.now();
    const news = { window_s, last_heartbeat_s, as_of };
    if (!open) Object.assign(news, { stale, warming, partial });
    if (!open || heldUp) news.count = answer.currentVisitors;
    state.now = { ...state.now, ...news };
    showNow();
}

async function readHistory() {
    if (!state.site) return;
    const answer = await ask(sitePath(state.site, 'history'), { hours: 24 });
    if (!answer) return;
    state.history = readMinutes(answer.data);
    state.peak = answer.peak;
    showTrend();
}

let watermark = null;
let noEvents = -Infinity; // when the collector last reported that it keeps none
async function readEvents() {
    if (!state.site || paused() || performance.now() - noEvents < 60000) return;
    const from = watermark;
    let answer;
    try {
        answer = await ask(
            sitePath(state.site, 'events'),
            from ? { since_timestamp: from, page_size: 100 } : { page_size: 40 },
        );
    } catch (error) {
        if (error.code !== 'no_events') throw error;
        noEvents = performance.now();
        write($('feed').querySelector('.empty'), 'The collector keeps no events');
    }
    if (!answer || from !== watermark) return;
    if (answer.missed > 0) addMissed($('feed'), answer.missed);
    if (answer.data.length) addEvents($('feed'), answer.data);
    watermark = answer.next_timestamp ?? watermark;
}

async function readStatus() {
    try {
        state.status = await read('api/status');
        heard();
    } catch (error) {
        state.status = null;
        throw error;
    } finally {
        showHealth($('health'), state.status, state.now?.last_heartbeat_s);
    }
}

let stream;
function listen() {
    stream?.close();
    stream = null;
    if (!state.site || document.hidden) return;
    const { site, minutes } = state;
    const mine = new EventSource(`stream?${new URLSearchParams({ site, minutes })}`);
    stream = mine;
    mine.addEventListener('count', (event) => {
        if (mine !== stream) return;
        heard();
        streamed = performance.now();
        state.now = { ...state.now, ...JSON.parse(event.data) };
        showNow();
    });
    mine.addEventListener('error', () => {
        if (mine === stream && mine.readyState === 2)
            setTimeout(() => mine === stream && listen(), 10000);
    });
}

const paused = () => $('pause').getAttribute('aria-pressed') === 'true';

// --- choices

function keepAddress() {
    const place = new URL(location);
    if (state.site) place.searchParams.set('site', state.site);
    place.searchParams.set('minutes', state.minutes);
    history.replaceState(null, '', place);
}

function pick(changes) {
    Object.assign(state, changes, { now: null });
    keepAddress();
    showNow();
    showLists(null);
    listen();
    askNow();
}

function pickSite(site) {
    watermark = null;
    clearEvents($('feed'));
    Object.assign(state, { history: [], peak: null });
    showTrend();
    pick({ site });
    askHistory();
    askEvents();
}

function pickTheme(theme) {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    $('theme').value = theme;
}

$('site').addEventListener('change', ({ target }) => pickSite(target.value));
$('minutes').addEventListener('change', ({ target }) => pick({ minutes: Number(target.value) }));
$('theme').addEventListener('change', ({ target }) => {
    pickTheme(target.value);
    remember('localStorage', 'presence.theme', target.value);
});
$('pause').addEventListener('click', ({ currentTarget: button }) => {
    button.setAttribute('aria-pressed', String(!paused()));
    askEvents();
});
$('hours').closest('details').addEventListener('toggle', showHours);
$('key').addEventListener('close', () => {
    useKey($('key-value').value);
    askEverything.forEach((ask) => ask());
    listen();
});
document.addEventListener('visibilitychange', listen);

pickTheme(wanted.get('theme') ?? remembered('localStorage', 'presence.theme') ?? 'auto');
$('minutes').value = state.minutes;
if ($('minutes').selectedIndex < 0) {
    $('minutes').append(new Option(`${state.minutes} minutes`, state.minutes, true, true));
}

const askNow = repeat(() => 5000, unlessLocked(readNow), failed);
const askHistory = repeat(
    () => (state.history.length ? 60000 : 2000),
    unlessLocked(readHistory),
    failed,
);
const askEvents = repeat(() => 2000, unlessLocked(readEvents), failed);
const askStatus = repeat(() => 5000, unlessLocked(readStatus), failed);
const askSites = repeat(() => (state.site ? 15000 : 2000), unlessLocked(readSites), failed);
const askEverything = [askNow, askHistory, askEvents, askStatus, askSites];
if (state.site) listen();
setInterval(showNow, 1000);
showTrend();
