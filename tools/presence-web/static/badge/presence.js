// Reports of this visitor to presence-web: a touch once a minute, and leaves.
import { attempt, explain, isOver, local, minute, random, url } from './base.js';
import { findSource } from './names.js';
import { learnAnswer } from './numbers.js';

const source = findSource();

let sent; // the place of the last touch; undefined: nobody is here
let last = 0; // time of the last touch
let viewed; // the room whose pageview was sent
let enlisted;
let isBusy;
let refused;
// When a prerendered page is activated, `hidden` changes before `prerendering` does.
export const isHidden = () => document.hidden || document.prerendering;
const keyOf = ({ key, room, token }) => [key, room, token].join();
export const isRefused = (place) => keyOf(place) === refused;

// Open tabs. Each has a storage key of its own, so that none overwrites another's; a crashed tab's
// key expires.
const ownTab = random();
const tabs = () => `presence.tab ${sent.site} `;
const enlist = () => {
    enlisted = Date.now();
    local(tabs() + ownTab, `${enlisted + 3 * minute} ${sent.room}`);
};
const otherRooms = () =>
    attempt(
        () =>
            Object.keys(localStorage)
                .filter((key) => key.startsWith(tabs()) && !key.endsWith(ownTab))
                .filter((key) => parseInt(local(key)) > Date.now() || local(key, null))
                .map((key) => local(key).replace(/\d+\s/, '')),
        [],
    );

// Prepare the leaves for when the page goes: there may be no time then. Leave the room unless
// another tab is in it, and the site with the last tab.
export const link = url('touch').href;
export let leaves = {};
export const prepareLeaves = () => {
    if (!sent) return;
    const { site, visitor, token, room } = sent;
    const others = otherRooms();
    const leave = (more) => JSON.stringify({ site, visitor, token, kind: 'leave', ...more });
    leaves = {
        room: room && !others.includes(room) && leave({ room }),
        site: !others.length && leave({ source }),
        held: !others.length && leave({ source, hold: 15 }), // they may come back
    };
};
export const forget = () => {
    if (!sent) return;
    local('presence.left', Date.now());
    local(tabs() + ownTab, null);
    sent = viewed = undefined;
    leaves = {};
};

const touch = async (place) => {
    const { site, room, visitor, token } = place;
    const kind = viewed === room ? 'heartbeat' : 'pageview';
    sent = { ...place };
    last = Date.now();
    isBusy = true;
    enlist();
    prepareLeaves();
    try {
        const answer = await fetch(link, {
            method: 'POST',
            credentials: 'omit',
            signal: AbortSignal.timeout?.(10000),
            body: JSON.stringify({ site, visitor, token, room, source, kind }),
        });
        const news = await answer.json();
        const reason = news.reason ?? news.error;
        if (reason) explain(reason, news.message);
        if (/40[13]/.test(answer.status)) refused = keyOf(place);
        // A touch that was not seen in time may still be counted.
        if (answer.ok && (news.counted || reason === 'not_seen')) viewed = room;
        // Leave the number to the stream, which survives restarts, if the collector is slow.
        if (news.counted && !news.stale && (!room || news.room)) learnAnswer(place, news);
    } catch {
        // The next minute tries again.
    } finally {
        isBusy = false;
    }
};

const send = (leave) => leave && navigator.sendBeacon(link, leave);

// Report where the visitor is; undefined: nowhere. Return a promise if there is an answer to come.
export const report = (place) => {
    // Wait for the answer before leaving: the leave could overtake the touch.
    if (isBusy) return undefined;
    const isHere = sent && place?.site === sent.site && place.visitor === sent.visitor;
    const isElsewhere = place?.room !== sent?.room;
    prepareLeaves();
    if (!isHere || isElsewhere) send(leaves.room);
    if (!isHere) {
        send(place ? leaves.site : leaves.held);
        forget();
    } else if (isElsewhere) sent.room = viewed = undefined;
    if (sent && isOver(enlisted, minute)) enlist();
    if (!place || isHidden() || isRefused(place)) return undefined;
    // Touch again soon after a leave: it may have overtaken the last touch.
    const isSoon = Math.abs(last - local('presence.left')) < 5000;
    const isDue = isElsewhere || isOver(last, isSoon ? 5000 : minute);
    if (!place.visitor) explain('visitor', 'the id or its cookie is missing, empty or HttpOnly');
    else if (isDue) return touch(place);
    return undefined;
};
