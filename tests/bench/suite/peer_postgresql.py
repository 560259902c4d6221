"""PostgreSQL as a peer: a function a heartbeat that upserts and counts, called by four clients of
pgbench with prepared statements over a unix socket. Nothing is written to disk on commit, the table
is unlogged and leaves room for updates in place."""

import glob
import os
import re
import shutil
import signal
import subprocess

from machine import Failure, Server, become

CLIENTS = 4
SCHEMA = """
CREATE UNLOGGED TABLE visitor (id bigint PRIMARY KEY, last timestamptz NOT NULL)
    WITH (fillfactor = 50);
INSERT INTO visitor SELECT generate_series(1, {visitors}), now();
VACUUM ANALYZE visitor;
CREATE FUNCTION touch(visitor_id bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO visitor VALUES (visitor_id, now()) ON CONFLICT (id) DO UPDATE SET last = now();
$$;
CREATE FUNCTION heartbeat(visitor_id bigint) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO visitor VALUES (visitor_id, now()) ON CONFLICT (id) DO UPDATE SET last = now();
    SELECT count(*) FROM visitor WHERE last > now() - interval '300 s';
$$;
"""
SETTINGS = {
    "listen_addresses": "", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
    "shared_buffers": "512MB", "autovacuum": "off", "max_wal_senders": "0", "wal_level": "minimal",
}


def newest_programs():
    found = glob.glob("/usr/lib/postgresql/*/bin")
    if not found:
        raise Failure("PostgreSQL's programs are not in /usr/lib/postgresql")
    return max(found, key=lambda path: int(path.split("/")[-2]))


def tree_cpu_seconds(pid):
    """Return the CPU time of a process, its children, and those it has waited for."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    total = sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        pids = children.read().split()
    for child in pids:
        try:
            total += tree_cpu_seconds(int(child))
        except (FileNotFoundError, ProcessLookupError):  # just ended, and is counted above
            pass
    return total


def run_program(command, **keywords):
    done = subprocess.run(command, capture_output=True, text=True, **keywords)
    if done.returncode:
        raise Failure(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class PostgreSQL(Server):
    def __init__(self):
        super().__init__()
        self.programs = newest_programs()
        self.path = self.make_directory()
        user = "postgres" if os.geteuid() == 0 else None
        data = os.path.join(self.path, "data")
        if user:
            shutil.chown(self.path, user)
        run_program(self.program("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N"),
                    **become(user))
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self.start(self.program("postgres", "-D", data, "-k", self.path, *settings),
                   lambda: "ready to accept connections" in self.output(), user=user)

    def program(self, name, *arguments):
        return [os.path.join(self.programs, name), *arguments]

    def run(self, name, *arguments, **keywords):
        return run_program(self.program(name, "-h", self.path, "-U", "postgres", *arguments),
                           **keywords)

    def fill(self, visitors):
        """Make a table with that many visitors. Returns its bytes, with its index."""
        self.run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-c",
                 "DROP TABLE IF EXISTS visitor; DROP FUNCTION IF EXISTS touch, heartbeat")
        self.run("psql", "-q", "-v", "ON_ERROR_STOP=1", input=SCHEMA.format(visitors=visitors))
        return int(self.run("psql", "-At", "-c", "SELECT pg_total_relation_size('visitor')"))

    def measure(self, function, visitors, seconds):
        """Measure calls a CPU second of the server."""
        script = os.path.join(self.path, "script")
        with open(script, "w") as file:
            file.write(f"\\set visitor random(1, {visitors})\nSELECT {function}(:visitor);\n")
        self.run("psql", "-q", "-c", "VACUUM visitor")
        used = tree_cpu_seconds(self.pid)
        out = self.run("pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-T", str(seconds),
                       "-f", script, "postgres")
        used = tree_cpu_seconds(self.pid) - used
        done = int(re.search(r"transactions actually processed: (\d+)", out)[1])
        return {"per_core": done / used, "rate": done / seconds, "busy": used / seconds}

    def close(self, how=signal.SIGINT):
        super().close(how)  # at once, without waiting for clients
