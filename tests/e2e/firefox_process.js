// In each process of Firefox that has pages: puts scripts before those of the pages, and passes on
// what they write to the console.
const { addDebuggerToGlobal } = ChromeUtils.importESModule(
    'resource://gre/modules/jsdebugger.sys.mjs',
);
const system = Services.scriptSecurityManager.getSystemPrincipal();
const sandbox = new Cu.Sandbox(system, { freshCompartment: true });
addDebuggerToGlobal(sandbox);

Services.obs.addObserver((window) => {
    const { browsingContext } = window;
    if (!browsingContext || window.location.protocol === 'about:') return;
    const scripts = Services.cpmm.sharedData.get('presence-test:before');
    const script = scripts?.get(browsingContext.top.browserId);
    // As a debugger does it: a content policy of the page may allow no script.
    if (script) new sandbox.Debugger().makeGlobalObjectReference(window).executeInGlobal(script);
}, 'content-document-global-created');

Cc['@mozilla.org/consoleAPI-storage;1'].getService(Ci.nsIConsoleAPIStorage).addLogEventListener(
    ({ wrappedJSObject: { level, arguments: words } }) => {
        const text = words.map(String).join(' ');
        Services.cpmm.sendAsyncMessage('presence-test:console', { level, text });
    },
    system,
);
