-- Times are POSIX seconds. A statement ends with a semicolon at the end of its line.

-- The migrations that were applied.
CREATE TABLE tg_schema (
    version INTEGER PRIMARY KEY,
    applied REAL NOT NULL
);

-- One row per process that writes here, or did. batch: the last of its transactions that was committed.
-- seen: when it wrote last; 0 once it has shut down cleanly.
CREATE TABLE tg_node (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    host TEXT NOT NULL,
    machine TEXT NOT NULL,
    process INTEGER NOT NULL,
    birth INTEGER NOT NULL,
    begun REAL NOT NULL,
    seen REAL NOT NULL,
    batch INTEGER NOT NULL
);

-- mark: the high-water mark, the last due time that was claimed.
CREATE TABLE tg_task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    spec TEXT NOT NULL,
    anchor REAL,
    mark REAL NOT NULL,
    paused_until REAL NOT NULL,
    runs INTEGER NOT NULL
);

-- Runs that are claimed and have not ended.
CREATE TABLE tg_open (
    id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL,
    due REAL NOT NULL,
    until REAL,
    count INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    node_id INTEGER NOT NULL
);

-- Ended runs, written once. NULL: until if it equals due, host if it is the node's, thread if the run never began.
CREATE TABLE tg_run (
    id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL,
    due REAL NOT NULL,
    until REAL,
    count INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    started REAL,
    ended REAL,
    node_id INTEGER NOT NULL,
    host TEXT,
    process INTEGER,
    thread TEXT,
    reason TEXT,
    error TEXT,
    log TEXT
);
CREATE INDEX tg_run_due ON tg_run (due, id, state);
CREATE INDEX tg_run_task ON tg_run (task_id, due, id, state);
CREATE INDEX tg_run_state ON tg_run (state, due, id) WHERE state <> 'ok';
CREATE INDEX tg_run_task_state ON tg_run (task_id, state, due, id) WHERE state <> 'ok';

-- Number of occurrences due in an hour, in a day, or ever (begin 0), their total and longest duration (seconds). If span
-- is 'new', it is an hour that is not yet in the other sums.
CREATE TABLE tg_count (
    span TEXT NOT NULL,
    begin INTEGER NOT NULL,
    task_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    count INTEGER NOT NULL,
    seconds REAL NOT NULL,
    longest REAL NOT NULL,
    PRIMARY KEY (span, begin, task_id, state)
) WITHOUT ROWID;
