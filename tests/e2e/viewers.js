/* An application that shows how many people view a post, as applications with a room over WebSockets
 * do: a hook that keeps a connection, one that knows the room's messages, and two components. */
const { createElement: h, Fragment, StrictMode, useEffect, useRef, useState } = require('react');
const { createRoot } = require('react-dom/client');

const STATUS = { CONNECTING: 'connecting', OPEN: 'open', RECONNECTING: 'reconnecting', CLOSED: 'closed' };
const FIRST_DELAY = 250; // ms until it connects again; twice as long each time
const LAST_DELAY = 2000;
const PING = 25000;
const REFUSED = 1008;

/* Keep a connection. Return its status. */
const useWebSocket = (url, onMessage) => {
    const [status, setStatus] = useState(STATUS.CONNECTING);
    const latest = useRef(onMessage);
    useEffect(() => {
        latest.current = onMessage;
    });
    useEffect(() => {
        let ended = false, delay = FIRST_DELAY, socket, timer;
        const connect = () => {
            socket = new WebSocket(url);
            socket.onopen = () => {
                delay = FIRST_DELAY;
                setStatus(STATUS.OPEN);
            };
            socket.onmessage = ({ data }) => latest.current(JSON.parse(data));
            socket.onclose = ({ code, reason }) => {
                window.closes.push([code, reason]);
                if (ended) return;
                setStatus(code === REFUSED ? STATUS.CLOSED : STATUS.RECONNECTING);
                if (code === REFUSED) return;
                timer = setTimeout(connect, delay);
                delay = Math.min(2 * delay, LAST_DELAY);
            };
        };
        const ping = () => {
            if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'ping' }));
        };
        connect();
        window.ping = ping;
        const pinger = setInterval(ping, PING);
        return () => {
            ended = true;
            clearTimeout(timer);
            clearInterval(pinger);
            socket.close();
        };
    }, [url]);
    return status;
};

const useLiveComments = (postId) => {
    const [viewerCount, setViewerCount] = useState(0);
    const connectionStatus = useWebSocket(
        `${window.base}/ws/posts/${postId}/live?token=${window.token}`, (message) => {
            window.messages.push(message);
            if (['room_joined', 'viewer_joined', 'viewer_left'].includes(message.type))
                setViewerCount(message.viewers);
        });
    return { viewerCount, connectionStatus };
};

/* Hidden while there is no connection. */
const ViewerCount = ({ live: { viewerCount, connectionStatus } }) => {
    if (connectionStatus !== STATUS.OPEN || viewerCount <= 1) return null;
    return h('p', { id: 'simple' }, viewerCount, ' people viewing');
};

/* Keeps the last number while there is none. */
const ReliableViewerCount = ({ live: { viewerCount, connectionStatus } }) => {
    const [displayCount, setDisplayCount] = useState(0);
    useEffect(() => {
        if (connectionStatus === STATUS.OPEN) setDisplayCount(viewerCount);
    }, [viewerCount, connectionStatus]);
    if (displayCount <= 1) return null;
    return h('p', { id: 'reliable' }, displayCount, ' people viewing',
        connectionStatus === STATUS.RECONNECTING && h('span', null, ' (reconnecting…)'));
};

const Post = ({ postId }) => {
    const live = useLiveComments(postId);
    return h(Fragment, null, h(ViewerCount, { live }), h(ReliableViewerCount, { live }));
};

window.messages = [];
window.closes = [];
window.shown = [null]; // all that the reliable one has ever shown; null: nothing
const root = document.getElementById('root');
const look = () => {
    const text = document.getElementById('reliable')?.textContent ?? null;
    if (text !== window.shown.at(-1)) window.shown.push(text);
};
new MutationObserver(look).observe(root, { childList: true, subtree: true, characterData: true });
createRoot(root).render(h(StrictMode, null, h(Post, { postId: window.postId })));
