// A badge that counts the visitors of a site through a function of its Supabase project: it reports
// this one once a minute while the tab is visible, and hides whenever that fails.
import { createClient } from '@supabase/supabase-js';
import { StrictMode, useCallback, useEffect, useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';

const KEY = 'active-visitor-id';
const PERIOD_MS = 60_000;
const supabase = createClient(window.project, window.projectKey);

const visitorId = () => {
    const kept = localStorage.getItem(KEY) ?? crypto.randomUUID?.() ?? `${Math.random()}`;
    localStorage.setItem(KEY, kept);
    return kept;
};

const useActiveVisitors = () => {
    const [count, setCount] = useState(0);
    const [connected, setConnected] = useState(false);
    const visitor = useRef(null);
    const timer = useRef(null);
    const isInFlight = useRef(false);

    const stop = useCallback(() => {
        clearInterval(timer.current);
        timer.current = null;
    }, []);

    const touch = useCallback(async () => {
        if (document.visibilityState !== 'visible' || isInFlight.current) return;
        isInFlight.current = true;
        try {
            const { data, error } = await supabase.rpc('touch_website_active_visitor', {
                _visitor_id: visitor.current,
                _window_minutes: 5,
            });
            if (error) throw error;
            if (typeof data === 'number') setCount(data);
            setConnected(true);
        } catch (error) {
            console.warn('no count of visitors:', error.code, error.message);
            setConnected(false);
        } finally {
            isInFlight.current = false;
        }
    }, []);

    useEffect(() => {
        const start = () => {
            stop();
            if (document.visibilityState !== 'visible') return setConnected(false);
            touch();
            timer.current = setInterval(touch, PERIOD_MS);
        };
        visitor.current = visitorId();
        start();
        document.addEventListener('visibilitychange', start);
        return () => {
            document.removeEventListener('visibilitychange', start);
            stop();
        };
    }, [stop, touch]);

    return { count, connected };
};

const Badge = () => {
    const { count, connected } = useActiveVisitors();
    return connected && count > 0 ? <p id="badge">{count} active now</p> : null;
};

createRoot(document.getElementById('root')).render(
    <StrictMode>
        <Badge />
    </StrictMode>,
);
