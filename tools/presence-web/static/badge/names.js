// The names of rooms, sources and visitors, as edges report them.
import { attempt, local, random, stored } from './base.js';

// One place, one name (R2): /t, /t/ and //t are one room. An invalid name is no room.
const foldRoom = (name) => {
    const room = name[0] === '/' ? name.replace(/\/+(?=\/|$)/g, '') || '/' : name;
    const isLong = new Blob([room]).size > 255;
    return isLong || /[\0-\x1f\x7f-\x9f]/.test(room) ? '' : room;
};
// Resolve dot segments after decoding, those between %2F too, as servers do.
const pathRoom = () =>
    attempt(() => {
        const path = location.pathname.replace(/%2f/gi, '/');
        return path[0] === '/' ? decodeURIComponent(new URL(`http://x${path}`).pathname) : '';
    }, '');

// Return a badge's place: the room that it is in, and the place that it shows, with its key.
export const placeOf = (data) => {
    const site = data.site || location.hostname;
    const room = foldRoom(data.watch || (data.room ?? pathRoom()));
    const shown = data.count === 'site' ? '' : room;
    return { site, room, shown, token: data.token, key: `${site} ${shown}` };
};

// Return the host that the visitor came from; it is kept while the tab goes from page to page.
const referrer = /^(https?|android-app):\/\/([a-z\d][\w.-]*)(:\d+)?(\/|$)/i;
export const findSource = () => {
    const host = referrer.exec(document.referrer)?.[2].toLowerCase();
    const source = host === location.hostname ? undefined : host;
    return stored('sessionStorage', 'presence.from', source) || source;
};

// Return the raw value, as it is in the header that edges read.
const readCookie = (name) =>
    attempt(() => document.cookie.split('; '), [])
        .find((each) => each.startsWith(`${name}=`))
        ?.slice(name.length + 1);

// Tabs that open at once may each make an id; all use the one that was stored last.
let id;
const ownId = () => {
    id ||= random();
    id = local('presence.id') || local('presence.id', id) || id;
    return id;
};

export const visitorOf = (data) =>
    data.visitor ?? (data.visitorCookie ? readCookie(data.visitorCookie) : ownId());
