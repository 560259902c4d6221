// The body of a function that firefox.py runs once in the browser's own process; arguments[0] is
// firefox_process.js. What it makes is found there by later scripts, as `presenceTest`.
const isOfPages = (message) =>
    message instanceof Ci.nsIScriptError && !message.isFromChromeContext;
const messages = [];
Services.console.registerListener({
    observe(message) {
        if (!isOfPages(message)) return;
        const { errorMessage, sourceName, lineNumber, flags, category } = message;
        const isError = !(flags & (Ci.nsIScriptError.warningFlag | Ci.nsIScriptError.infoFlag));
        messages.push([isError, `${category}: ${errorMessage} (${sourceName}:${lineNumber})`]);
    },
});
Services.ppmm.addMessageListener('presence-test:console', ({ data: { level, text } }) =>
    messages.push([level === 'error', text]),
);
const scripts = new Map();
Cu.getGlobalForObject(Services).presenceTest = {
    messages,
    before({ browserId: id }, script) {
        scripts.set(id, `${scripts.get(id) ?? ''}${script}\n`);
        Services.ppmm.sharedData.set('presence-test:before', scripts);
        Services.ppmm.sharedData.flush();
    },
};
Services.ppmm.loadProcessScript(`data:,${encodeURIComponent(arguments[0])}`, true);
