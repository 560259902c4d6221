/* Drive WebSockets of the npm package `ws` by lines of JSON: commands on standard input, what happens
 * on standard output. */
'use strict';

const { WebSocket } = require('ws');

const sockets = new Map();
const say = (id, what, value) => process.stdout.write(`${JSON.stringify([id, what, value])}\n`);

const commands = {
    open(id, { url, headers }) {
        const socket = new WebSocket(url, { headers });
        sockets.set(id, socket);
        socket.on('open', () => say(id, 'open'));
        socket.on('message', (data, binary) => say(id, binary ? 'binary' : 'message', String(data)));
        socket.on('close', (code, reason) => say(id, 'close', [code, String(reason)]));
        socket.on('error', (error) => say(id, 'error', error.message));
        socket.on('unexpected-response', (request, response) => {
            let body = '';
            response.on('data', (piece) => { body += piece; });
            response.on('end', () => say(id, 'refused', [response.statusCode, response.headers, body]));
        });
    },
    send: (id, text) => sockets.get(id).send(text),
    close: (id) => sockets.get(id).close(),
    terminate: (id) => sockets.get(id).terminate(), // without a close frame
};

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const [command, id, value] = JSON.parse(line);
    commands[command](id, value);
});
